"""The ledger as one deterministic state machine: commands in, blocks and one state root out.

Pure: height, block time and every input come in as arguments; nothing here reads a clock, a file or a socket. Layouts
and rules: ``docs/spec/ledger.md``.
"""
