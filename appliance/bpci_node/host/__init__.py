"""This machine: hardware checks, measured and reported."""
