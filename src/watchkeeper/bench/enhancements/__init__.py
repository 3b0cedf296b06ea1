"""Enhancements, one file each: each wraps a model into a model."""
