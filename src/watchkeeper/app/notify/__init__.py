"""Telling people and other systems of incidents: targets, payloads, a durable queue, and the threads that deliver."""
