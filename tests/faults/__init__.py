"""Faults made for real on the running sandbox, and how each must end: `make faults`."""
