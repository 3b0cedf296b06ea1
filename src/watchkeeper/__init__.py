"""Watchkeeper keeps watch over running systems: OpenTelemetry in, what failed, where and why out."""

from watchkeeper.version import __version__

__all__ = ["__version__"]
