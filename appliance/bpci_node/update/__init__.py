"""Updates of the node itself: signed bundles, installation beside, a health gate, and the way back."""
