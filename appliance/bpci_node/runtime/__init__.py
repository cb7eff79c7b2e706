"""Wires the parts of a node; owns the clock, the tasks and the service manager's notifications."""
