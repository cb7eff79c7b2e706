"""The first-boot wizard and the console of a BPCI machine, in Textual."""
