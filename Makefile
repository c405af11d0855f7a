# `make demo` and `make test` are all a newcomer needs. Everything that is installed comes from the lock files.
.DELETE_ON_ERROR:
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?= python3
# groups of tests that run side by side; more of them do not help on two cores
WORKERS ?= 2
# in the order of folders: the long ones come before the many short ones
SIDE_BY_SIDE := --numprocesses $(WORKERS) --no-loadscope-reorder
SLOWEST := --durations=20 --durations-min=5

.PHONY: machine demo test check unit lint integration e2e alone up down status bench faults lock help

help:
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: machine $(STAMP) ## set up everything, push the example with git, and follow its release until it is healthy
	$(BIN)/slipway sandbox up
	$(BIN)/python -m slipway_sandbox.demo

test: machine check ## everything: style, types, contracts, unit, integration and end-to-end tests
	$(MAKE) --jobs=2 integration e2e
	$(MAKE) alone

check: lint unit ## style, types, contracts and unit tests: all that needs no sandbox, within two minutes

lint: $(STAMP) ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(STAMP) ## unit tests, under a minute
	$(BIN)/pytest tests/unit $(SIDE_BY_SIDE)

up: machine $(STAMP) ## start the sandbox, or what is missing of it
	$(BIN)/slipway sandbox up

down: ## stop exactly what was started
	@[ ! -x $(BIN)/slipway ] || $(BIN)/slipway sandbox down

status: $(STAMP) ## how each part of the sandbox is
	$(BIN)/slipway sandbox status

integration: up ## each adapter against the real part
	$(BIN)/pytest tests/integration --verbose $(SIDE_BY_SIDE) $(SLOWEST)

e2e: up ## pushes through the whole sequence
	$(BIN)/pytest tests/e2e -m "not alone" --verbose $(SIDE_BY_SIDE) $(SLOWEST)

alone: up ## end-to-end tests beside which nothing else may run: they end and break the sandbox's parts
	$(BIN)/pytest tests/e2e -m alone --verbose $(SLOWEST)

bench: up ## push new and known source in turn, ten at once, and fifty to ten services; how long until healthy; flood the front door
	$(BIN)/python -m slipway_sandbox.bench
	$(BIN)/python -m slipway_sandbox.bench --burst 10
	$(BIN)/python -m slipway_sandbox.bench --services 10
	$(BIN)/python -m slipway_sandbox.flood

faults: up ## make every fault for real: the table of how each ends, what is held, and how the next push goes (ARGS="--section deploy", ARGS=--help)
	PYTHONPATH=tests $(BIN)/python -m faults $(ARGS)

lock: $(STAMP) ## compile requirements*.in into lock files with hashes
	$(BIN)/uv pip compile --quiet --no-header --generate-hashes --python-version 3.11 requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --no-header --generate-hashes --python-version 3.11 requirements-dev.in -o requirements-dev.txt

# before anything is made: what the machine lacks, with the figures
machine:
	@command -v $(PYTHON) >/dev/null || { echo "slipway sandbox: there is no $(PYTHON): Python 3.11 or newer is needed; set PYTHON" >&2; exit 3; }
	@PYTHONPATH=sandbox PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m slipway_sandbox.machine

$(STAMP): requirements-dev.txt pyproject.toml sandbox/bootstrap.sh
	PYTHON=$(PYTHON) sh sandbox/bootstrap.sh $(VENV)
	@touch $@
