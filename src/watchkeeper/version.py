"""The version of Watchkeeper, kept in one place."""

__version__ = "0.1.0"
