# Everything starts from a checkout, Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help run test check format faults bench e2e cluster nightly lock docs clean

help:  ## Show this list
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

run: $(READY)  ## Serve on port 8080 from SQLite
	$(BIN)/aerolite serve

test: $(READY) .venv-checkov/.ready  ## Run every test but those that need Docker or a cluster
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not e2e and not cluster" --cov --cov-report=term --cov-fail-under=95

check: $(READY)  ## Lint, format, types, arrows, contract lock
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/aerolite versions check

format: $(READY)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

faults: $(READY)  ## Run all trials of the fault tests (make test runs a tenth)
	AEROLITE_TRIALS=all $(BIN)/python -m pytest -m faults

bench: .venv-bench/.ready  ## Measure against peers and ceilings
	.venv-bench/bin/python -m benchmarks

e2e: $(READY)  ## Build the image and run it on a real Docker engine
	$(BIN)/python -m pytest -m e2e tests/e2e -p no:xdist --timeout 1200

cluster: $(READY)  ## Run the tests that need a KUBECONFIG
	$(BIN)/python -m pytest -m cluster tests/deploy -p no:xdist --timeout 1800

nightly: $(READY)  ## Run the long property tests
	AEROLITE_HYPOTHESIS=nightly $(BIN)/python -m pytest tests/unit --timeout 3600

lock: $(READY)  ## Pin and hash what the image installs
	scripts/lock

docs: $(READY)  ## Generate what docs/ takes from the code
	$(BIN)/python scripts/settings_page.py

clean:  ## Remove what the other targets made
	rm -rf $(VENV) .venv-bench .venv-checkov build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[postgres,deploy,test,dev]'
	touch $@

# SAQ, a peer of the benchmarks, holds redis-py back.
.venv-bench/.ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --editable '.[postgres,bench]'
	touch $@

# checkov pins versions that the service must not be held to, so it lives apart.
.venv-checkov/.ready: tests/manifests/checkov.txt
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/python -m pip install --quiet -r tests/manifests/checkov.txt
	touch $@
