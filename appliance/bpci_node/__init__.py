"""The BPCI node: ground, domain, engines, runtime and faces, with imports that only point downward."""

__version__ = "0.1.0"
