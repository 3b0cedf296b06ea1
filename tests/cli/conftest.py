"""Shared fixtures of this folder."""

from tests.collector import collector

__all__ = ["collector"]
