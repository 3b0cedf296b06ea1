"""Labelled incidents of public data sets, each as the IncidentWindow that a live incident would have given."""
