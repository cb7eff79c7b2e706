"""Setting a machine up: answers, plan, and the steps that carry it out. Shared by wizard and command line."""
