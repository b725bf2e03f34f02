"""The version of the toolkit, which is part of every fingerprint."""

__version__ = "0.2.0"
