"""AI Generation Service: stores generation jobs in Postgres and writes text with a small local model."""

__version__ = "1.0.1"
