"""Feedback of operators: what they said of findings and incidents, what it changes, and whether that is no worse."""
