# Verbs of the house. Each one sets up what it needs: `make run` and `make test` work on a fresh Debian or Ubuntu.
#
#   make run  [ARGS="seed=1 preset=parity"]     train RAM insertion in simulation until it succeeds unaided
#   make test [ARGS="-k gate"]                  run the tests
#   make lint | type | docs | clean

SHELL := /bin/bash
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
export OMP_NUM_THREADS ?= 1

# The environment is as old as the two files that describe it: another hash, another set-up.
STAMP := $(VENV)/.handrail-$(shell cat pyproject.toml constraints.txt tools/make-venv | sha256sum | cut -c1-16)

.DEFAULT_GOAL := help
.PHONY: help venv run test lint format type docs clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -5

venv: $(STAMP)

$(STAMP):
	@tools/make-venv $(VENV) $@

run: venv
	@$(BIN)/handrail train $(ARGS)

# The console's tests drive a real browser.
test: venv
	@tools/system-packages chromium fonts-dejavu-core
	@$(BIN)/python tools/run_tests.py $(ARGS)

lint: venv
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: venv
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

type: venv
	@$(BIN)/pyright --pythonpath $(BIN)/python

# Links between the pages must lead somewhere, and their Python examples must run.
docs: venv
	@$(BIN)/python -m pytest tests/test_docs.py $(ARGS)

# Runs are results, not rubbish: `runs/` is left alone.
clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
