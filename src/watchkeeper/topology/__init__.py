"""Builds and keeps the topology: from spans, from resource attributes and from a CMDB file."""
