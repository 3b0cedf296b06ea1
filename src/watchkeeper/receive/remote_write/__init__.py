"""Prometheus remote write: its two messages become OTLP metrics at the door."""
