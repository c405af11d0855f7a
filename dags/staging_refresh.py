"""Airflow DAG that refreshes what is deployed on staging, every night; its tasks are wired in slipway.refresh."""

from slipway.refresh import refresh_dag

dag = refresh_dag()
