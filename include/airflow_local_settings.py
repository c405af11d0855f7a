"""Airflow imports this module when a process starts, if it is on the path."""

from slipway.preload import preload

preload()
