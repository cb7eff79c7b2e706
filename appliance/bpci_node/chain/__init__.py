"""The ledger as a deterministic state machine: commands, blocks, registry. Pure."""
