"""One module per stage: its tasks, on the providers' operators and hooks. Only these, `dag` and the plugin import Airflow."""
