"""The faces on the machine's own screen: first the wizard, in Textual, then the console, in plain lines."""
