"""Watchkeeper's metrics of itself, sent on by Prometheus remote write."""
