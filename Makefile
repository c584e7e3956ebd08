# Two commands do everything: `make demo` and `make test`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help
help: ## Shows this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "entrasync needs Python 3.11 or newer; $$($(PYTHON) --version) was found. Install it, or name it: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "Making the Python environment in $(VENV) from the pinned requirements (usually 30 s)"
	@$(PYTHON) -m venv $(VENV) || { echo "The environment could not be made; on Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt \
	  || { echo "The requirements could not be installed; see the lines above, and check that a package index can be reached."; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: venv
venv: $(STAMP) ## Makes the Python environment

.PHONY: packages
packages: venv ## Installs the Debian packages that the node and the tests need
	@$(BIN)/python -m dev.cluster packages

.PHONY: binaries
binaries: venv ## Finds, downloads or builds the programs of the local cluster
	@$(BIN)/python -m dev.cluster binaries

.PHONY: demo
demo: venv ## Runs the main job: a company in Active Directory, synced to an Entra tenant (KEEP=1 leaves it running)
	@$(BIN)/python -m dev.demo

.PHONY: down
down: venv ## Removes the local cluster and all it left
	@$(BIN)/python -m dev.cluster down

.PHONY: test
test: venv packages binaries ## Sets everything up and passes all tests: unit, integration, end to end
	@trap '$(BIN)/python -m dev.cluster down' EXIT; $(BIN)/pytest tests/unit tests/integration tests/e2e

.PHONY: unit
unit: venv ## Runs the fast tests only
	@$(BIN)/python -m dev.cluster clients
	@$(BIN)/pytest tests/unit

.PHONY: integration
integration: venv packages ## Runs the tests against real parts on this host
	@$(BIN)/pytest tests/integration

.PHONY: e2e
e2e: venv packages ## Runs the tests on the local cluster, and leaves it running
	@$(BIN)/pytest tests/e2e

.PHONY: lint
lint: venv ## Checks style, types, layers and generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy operator/entrasync dev tests bench
	@$(BIN)/lint-imports
	@$(BIN)/python -m dev.generate --check

.PHONY: docs
docs: venv ## Builds the documentation as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "The site is in build/site; open build/site/index.html."

.PHONY: generate
generate: venv ## Writes the generated files: CRDs and the chart's copies
	@$(BIN)/python -m dev.generate

.PHONY: lock
lock: venv ## Pins the requirements anew
	@$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 pyproject.toml -o requirements/runtime.txt
	@$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 pyproject.toml --extra kerberos -c requirements/runtime.txt -o requirements/kerberos.txt
	@$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 --group kerberos-build -o requirements/kerberos-build.txt
	@$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 pyproject.toml --group dev -o requirements/dev.txt
	@$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 --group bench -o requirements/bench.txt

.PHONY: bench
bench: venv packages ## Runs the benchmarks (ONLY=name for one)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt \
	  || echo "A client to compare with could not be built; the benchmark ldap says what it needs."
	@$(BIN)/python -m bench $(ONLY)
