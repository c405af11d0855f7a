"""Airflow DAG that starts the releases of pushes which nobody heard of; its tasks are wired in slipway.reconcile."""

from slipway.reconcile import reconcile_dag

dag = reconcile_dag()
