"""Windows in which bids stay hidden, the bundles that come of them, and how anybody verifies these. Pure."""
