"""Airflow DAG that releases Links; its stages are wired in slipway.dag."""

from slipway.dag import release_dag

dag = release_dag("links")
