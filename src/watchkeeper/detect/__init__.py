"""Arrow batches in, findings out. Does no I/O of its own but save and load, and never reads ahead of time."""
