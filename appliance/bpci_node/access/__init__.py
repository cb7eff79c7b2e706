"""Who may sign in at this machine, as what, and what was done: accounts, roles, sessions, the log of actions."""
