"""Versions of what was learned: published whole or not at all, promoted, rolled back, with an audit of who and why."""
