"""Log lines in, template ids and parameters out. Keeps no line but a few examples of each template."""
