"""The node's HTTP faces: public API, owner's socket, metrics."""
