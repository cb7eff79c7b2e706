"""The bpci command."""
