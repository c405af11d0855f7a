"""Slipway: from `git push` to a healthy, reported deployment, as one Airflow DAG run on real parts."""

__version__ = "0.1.0"
