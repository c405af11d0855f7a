"""One module per outside system. None imports Airflow or another adapter; heavy libraries are imported inside functions."""
