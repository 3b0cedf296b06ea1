"""Scores: pure functions from predictions and truth to figures, each with its source and direction."""
