"""Backups of a node: what is in them, how they are proved, and how a machine comes back from one."""
