"""Airflow DAG that releases the Prompt Library; its stages are wired in slipway.dag."""

from slipway.dag import release_dag

dag = release_dag("prompt-library")
