"""The models that a job can name, one a file, behind one registry."""
