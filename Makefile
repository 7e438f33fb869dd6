# Plain `make` explains itself. Everything is installed into .venv, and again when pyproject.toml changes.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install run worker test check sim soak endure demo bench clean

# The Python to build .venv with: 3.11 to 3.13; left empty, the first such one on PATH.
PYTHON ?=
# More words for pytest: make test ARGS="-k duration -x"
ARGS ?=
# How tests run: three files at a time, for most of them wait; make test ABREAST= takes one after another.
ABREAST ?= -n 3 --dist loadfile

BIN := .venv/bin
VENV := PYTHON="$(PYTHON)" sh scripts/venv.sh
PEERS := BEATD_VENV=.venv-peers $(VENV)
FAST := not nightly and not live and not process and not sim
# How many simulated worlds, and from which on: make sim SEEDS=20000 FIRST=1000
SEEDS ?= 2000
FIRST ?= 0
# How long each run of the soak lasts, and its seeds: make soak LASTING=600 RUNS="7"
LASTING ?= 60
RUNS ?= 1 2 3 4 5
# What to endure, all by default; with --picture the load is drawn: make endure PARTS="load --picture"
PARTS ?=

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

install: .venv/.run  ## Install beatd into .venv, with its private server and the fast Redis parser

run: .venv/.run  ## Run the daemon with schedules.yaml
	$(BIN)/beatd run -c schedules.yaml

worker: .venv/.test  ## Run a Celery worker that executes what make run sends (in a second terminal)
	@$(BIN)/python scripts/worker.py

test: .venv/.test  ## Run all tests but the nightly ones, against servers of their own
	$(BIN)/python -m pytest $(ABREAST) $(ARGS)

check: .venv/.test  ## Format, lint, types, import directions and fast tests: under a minute
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --hypothesis-profile check -m "$(FAST)"

sim: .venv/.test  ## Live through many simulated worlds (SEEDS=20000 FIRST=0): daemons, faults, virtual time
	$(BIN)/python -m tests.sim --seeds $(SEEDS) --first $(FIRST)

soak: .venv/.test  ## Kill, stop and cut off a fleet for ten minutes, then count (LASTING=60 RUNS="1 2 3")
	$(BIN)/python -m tests.process.soak --seconds $(LASTING) --seeds $(RUNS)

endure: .venv/.test  ## Redis or RabbitMQ away for minutes, rolling restarts, twenty minutes of load (PARTS="rolling load")
	$(BIN)/python -m tests.endurance $(PARTS)

demo: .venv/.test  ## Watch a leader die and its standby go on, with a real worker
	$(BIN)/python scripts/demo.py

bench: .venv/.test .venv-peers/.done  ## Measure on this machine every number of docs/performance.md
	$(BIN)/python -m bench

clean:  ## Remove what was installed, built and cached; .beatd (your data) stays
	rm -rf .venv .venv-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -type d -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/python:
	@$(VENV) create

.venv-peers/.done: bench/peers/requirements.txt
	@$(PEERS) create
	@$(PEERS) require bench/peers/requirements.txt
	@touch $@

.venv/.run: .venv/bin/python pyproject.toml
	@$(VENV) install embedded,fast
	@touch $@

.venv/.test: .venv/bin/python pyproject.toml
	@$(VENV) install test
	@touch .venv/.run $@
