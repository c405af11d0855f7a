#!/bin/sh
# make-secrets.sh [FOLDER]: makes the secrets of docker-compose.yaml that are missing (FOLDER: compose/secrets), at random.
# What is there stays. To change one: remove its file, run this, `docker compose up -d`.
set -eu
folder=${1:-$(dirname "$0")/secrets}
uid=10001 # of the containers
umask 077
mkdir -p "$folder"
chmod 700 "$folder"
command -v openssl >/dev/null || { echo "make-secrets: openssl is missing: install it" >&2; exit 3; }

# Files are bound into the containers as they are here. The folder keeps everybody else out; the file itself must be readable
# for the containers' user: its own where this may be given, else for all who get into the folder.
put() {
    if [ -s "$folder/$1" ]; then cat >/dev/null; return; fi
    cat >"$folder/.new"
    chown "$uid:$uid" "$folder/.new" 2>/dev/null && chmod 400 "$folder/.new" || chmod 444 "$folder/.new"
    mv "$folder/.new" "$folder/$1"
    echo "made $folder/$1"
}
random() { openssl rand -hex 24 | tr -d '\n'; }

for name in postgres_password airflow_db_password jwt_secret api_secret_key; do random | put "$name"; done
openssl rand -base64 32 | tr -d '\n' | tr '+/' '-_' | put fernet_key
printf '{"admin": "%s", "hook": "%s", "viewer": "%s"}\n' "$(random)" "$(random)" "$(random)" | put airflow_passwords
put connections.yaml <<YAML
# Airflow's connections of the stages; what each holds: include/slipway/stages/connections.py. Write the missing ones.
slipway_ledger:
  conn_type: postgres
  host: postgres
  port: 5432
  schema: ledger
  login: ledger
  password: $(random)
# slipway_engine:
#   conn_type: docker
#   host: registry.example.com
#   login: pull
#   password: ...
#   extra: {docker_url: "tcp://engine.example.com:2375"}   # or unix:///run/docker.sock, see docs/compose.md
# slipway_cluster_staging:
#   conn_type: kubernetes
#   extra: {kube_config_path: /etc/slipway/kubeconfig}
# slipway_vault:
#   conn_type: vault
#   host: vault.example.com
#   port: 8200
#   schema: secret
#   login: ...      # the AppRole's role id
#   password: ...   # its secret id
#   extra: {auth_type: approle, kv_engine_version: 2, use_tls: true}
YAML
