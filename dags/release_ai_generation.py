"""Airflow DAG that releases the AI Generation Service; its stages are wired in slipway.dag."""

from slipway.dag import release_dag

dag = release_dag("ai-generation")
