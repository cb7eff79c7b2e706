"""Drivers of the ledger's state machine: who orders commands into blocks, and who follows."""
