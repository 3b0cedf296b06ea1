"""The live part of the harness: the real product beside the real shop, a fault in it, and what a repair did."""
