"""Selecting what goes into a bundle, sealing it, verifying it. Pure."""
