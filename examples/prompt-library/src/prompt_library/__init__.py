"""Prompt Library: versioned prompt templates in Postgres, and their rendering."""

__version__ = "1.0.0"
