"""Inference jobs: one contract, in process, from file to file, and from a subject of a message bus."""
