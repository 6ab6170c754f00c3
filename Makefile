# Every target sets up its own environment on first use; later uses start at once. Another PYTHON has another environment.
PYTHON ?= python3
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
LOWEST := .venv-lowest
OLDEST := python3.11
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(3 + (os.cpu_count() or 1))')
PURE := tests/unit tests/house
CORE := tests/contract tests/cloud tests/emulator $(wildcard tests/whole/test_cli*.py)

unexport PYTHONDONTWRITEBYTECODE  # every worker and every program that a test starts would compile all of this again

.DEFAULT_GOAL := help
.PHONY: help demo test quick test-core test-lowest lint sync bench fuzz docs clean

help:  ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## Connect to the emulator, stream, and record an MP4
	@$(BIN)/streamer demo

test: $(VENV)/.dev  ## Run the whole suite; this and every other target on another Python: PYTHON=python3.12
	@$(BIN)/python -m pytest -n $(WORKERS) -m "not alone"
	@$(BIN)/python -m pytest -n 3 -m alone $(shell grep -rl --include=*.py mark.alone tests)

quick: $(VENV)/.dev  ## Run the tests that need no sockets, processes or time
	@$(BIN)/python -m pytest -n auto -m "not edge" --hypothesis-profile=quick $(PURE)

test-core: $(VENV)/.dev  ## Run the part of the suite that depends on Python and the packages most
	@$(BIN)/python -m pytest -n $(WORKERS) $(PURE) $(CORE)

test-lowest: $(LOWEST)/.dev  ## Run the same part with the lowest versions that pyproject.toml allows
	@$(LOWEST)/bin/python -m pytest -n $(WORKERS) $(PURE) $(CORE)

lint: $(VENV)/.dev  ## Format check, lint, strict types, layers, known vulnerabilities
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.audit

sync: $(VENV)/.dev  ## Write streamer.sync anew from the async face
	@$(BIN)/python -m tests.support.sync_faces

bench: $(VENV)/.dev  ## Measure against the rivals and print the tables
	@$(BIN)/python -m benchmarks

fuzz: $(VENV)/.fuzz  ## Feed every parser of network bytes anything: SECONDS=600 each, or TARGETS="sdp rtp"
	@$(BIN)/python -m tests.fuzz $(or $(SECONDS),600) $(TARGETS)

docs: $(VENV)/.docs  ## Build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "site/index.html"

clean:  ## Remove the environment and everything that was made
	rm -rf .venv .venv-* .fuzz out dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache tests/support/peers/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@echo "setting up $(VENV) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "streamer needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "this Python cannot make environments (Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "installing streamer …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[image]'
	@touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/.demo
	@echo "installing the tools of the documentation …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing streamer and its tools …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . --group dev
	@touch $@ $(VENV)/.demo

$(LOWEST)/.dev: pyproject.toml
	@echo "installing streamer with the lowest versions …"
	@$(OLDEST) -m venv $(LOWEST)
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@grep -oE '[a-z0-9-]+>=[0-9.]+' pyproject.toml | sed 's/>=/==/' >$(LOWEST)/lowest.txt
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check -e . --group test --constraint $(LOWEST)/lowest.txt
	@touch $@
