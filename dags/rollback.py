"""Airflow DAG that rolls a service back by hand; its tasks are wired in slipway.rollback."""

from slipway.rollback import rollback_dag

dag = rollback_dag()
