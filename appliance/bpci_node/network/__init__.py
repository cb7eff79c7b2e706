"""Talking to other nodes: clients, network files."""
