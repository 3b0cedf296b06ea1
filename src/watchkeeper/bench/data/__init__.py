"""Adapters of data sets, one file each: what is given, what is true, and the splits."""
