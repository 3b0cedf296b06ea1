"""Risk of what has not failed yet: parts of a fleet that will, and releases that should not go on."""
