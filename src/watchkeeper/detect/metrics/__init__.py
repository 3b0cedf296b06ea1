"""The online detector of metrics; metrics/detector.py is where it begins."""
