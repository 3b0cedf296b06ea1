"""Detection on traces; see detector.py."""
