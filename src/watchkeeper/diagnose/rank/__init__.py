"""Rankers: from the evidence of one incident to its likely causes, each looked up by name in `registry`."""
