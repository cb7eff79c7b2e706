"""Ground floor: hashing, canonical encoding, Merkle trees, keys. Pure functions, no I/O."""
