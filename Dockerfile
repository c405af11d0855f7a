# Airflow with Slipway baked in: DAGs, plugins, the catalog and the stages, git and a Docker client. One image for all of Airflow's
# processes. Build: DOCKER_BUILDKIT=1 docker build -t slipway/airflow .   (an engine without internet: see docs/compose.md)
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS base
USER root
RUN --mount=type=bind,source=toolboxes/shared/build,target=/mnt --mount=type=secret,id=apt_sources --mount=type=secret,id=apt_conf \
    --mount=type=secret,id=ca /mnt/apt-install ca-certificates git tini

# Debian 12's client speaks BuildKit by itself; of its package, which brings a whole engine, one program is taken.
FROM base AS client
RUN --mount=type=bind,source=toolboxes/shared/build,target=/mnt --mount=type=secret,id=apt_sources --mount=type=secret,id=apt_conf \
    --mount=type=secret,id=ca /mnt/apt-install docker.io

# The client's settings (index, certificates) are secrets of the build, all optional; no layer holds them.
FROM base AS environment
RUN --mount=type=bind,source=toolboxes/shared/build/uv.txt,target=/mnt/uv.txt \
    --mount=type=bind,source=requirements.txt,target=/mnt/requirements.txt \
    --mount=type=secret,id=pip_conf --mount=type=secret,id=ca --mount=type=cache,target=/var/cache/slipway-uv \
    set -eu; export PIP_CONFIG_FILE=/run/secrets/pip_conf PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1; \
    if [ -s /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi; \
    python3 -m venv /tmp/uv; /tmp/uv/bin/pip install -q --require-hashes --only-binary :all: -r /mnt/uv.txt; \
    # uv does not read pip's configuration: hand over what matters
    setting() { /tmp/uv/bin/pip config get "global.$1" 2>/dev/null || true; }; \
    index=$(setting index-url); if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi; \
    extra=$(setting extra-index-url); if [ -n "$extra" ]; then export UV_INDEX="$extra"; fi; \
    export UV_CACHE_DIR=/var/cache/slipway-uv UV_LINK_MODE=copy UV_HTTP_TIMEOUT=180 UV_PYTHON_DOWNLOADS=never; \
    /tmp/uv/bin/uv venv -q --python "$(command -v python3)" /opt/venv; \
    /tmp/uv/bin/uv pip install -q --python /opt/venv/bin/python --require-hashes --only-binary :all: --compile-bytecode \
        -r /mnt/requirements.txt; \
    rm -rf /tmp/uv

FROM base
RUN getent passwd 10001 >/dev/null || useradd --uid 10001 --user-group --home-dir /tmp --no-create-home --shell /usr/sbin/nologin app; \
    install -d -m 0750 -o 10001 -g 10001 /opt/airflow /opt/airflow/logs /opt/airflow/slipway
COPY --from=client /usr/bin/docker /usr/bin/docker
COPY --from=environment /opt/venv /opt/venv
COPY compose/bin /opt/slipway/bin
# docker-compose.yaml names it; elsewhere (Helm) Airflow is configured by others
COPY compose/airflow.cfg /opt/slipway/compose/airflow.cfg
COPY include /opt/slipway/include
COPY plugins /opt/slipway/plugins
COPY dags /opt/slipway/dags
RUN /opt/venv/bin/python -m compileall -q /opt/slipway
ENV AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/slipway/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/slipway/plugins \
    SLIPWAY_PLATFORM=/etc/slipway/platform.yaml \
    PYTHONPATH=/opt/slipway/include \
    PATH=/opt/venv/bin:/opt/slipway/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2
WORKDIR /opt/airflow
USER 10001
ENTRYPOINT ["tini", "--"]
CMD ["airflow", "version"]
