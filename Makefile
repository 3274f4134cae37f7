# Two commands matter: `make demo` and `make test`. Each sets up what it needs, once.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
RUNTIME := $(VENV)/.runtime
DEVELOP := $(VENV)/.develop
DEMO_DATA := .demo
CLIENTS := tests/clients
LITELLM := .litellm
DIST := dist
MODEL := packages/ragstone-minilm
MODEL_TOOLS := .model-tools
MODEL_VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' $(MODEL)/pyproject.toml)
MODEL_WHEEL := $(DIST)/ragstone_minilm-$(MODEL_VERSION)-py3-none-any.whl

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(UV): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Ragstone needs Python 3.11 or newer; name one: make PYTHON=python3.12 …"; exit 1; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	  { test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); } && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt; \
	elif command -v uv >/dev/null; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
	  uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/uv.txt; \
	else \
	  echo "This Python cannot make environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; \
	fi
	@touch $@

$(MODEL_TOOLS)/.ready: $(UV) requirements/model.txt
	@$(UV) venv --quiet --clear --python $(BIN)/python $(MODEL_TOOLS)
	@$(UV) pip install --quiet --python $(MODEL_TOOLS)/bin/python --no-deps --require-hashes -r requirements/model.txt
	@touch $@

$(MODEL_WHEEL): $(MODEL_TOOLS)/.ready $(shell find $(MODEL) -type f -not -path '*/__pycache__/*')
	@echo "Building the model's wheel …"
	@$(MODEL_TOOLS)/bin/python $(MODEL)/build.py --out $(DIST)
	@touch $@

$(RUNTIME): $(UV) $(MODEL_WHEEL) requirements/runtime.txt pyproject.toml
	@echo "Installing Ragstone and its model …"
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes --compile-bytecode -r requirements/runtime.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --reinstall $(MODEL_WHEEL)
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(DEVELOP): $(RUNTIME) requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes --compile-bytecode -r requirements/dev.txt
	@touch $@

setup: $(RUNTIME) ## Install what running needs

demo: $(RUNTIME) ## Ingest docs/ and answer three questions about it
	@$(BIN)/ragstone --data-dir $(DEMO_DATA) ingest docs --prune
	@$(BIN)/ragstone --data-dir $(DEMO_DATA) ask "What is a chunk?"
	@$(BIN)/ragstone --data-dir $(DEMO_DATA) ask "How many requests an hour does the free plan allow?"
	@$(BIN)/ragstone --data-dir $(DEMO_DATA) ask "What does the interceptor do when retrieval fails?"
	@echo "Now: make serve"

serve: $(RUNTIME) ## Serve the same documents on http://127.0.0.1:8000
	@$(BIN)/ragstone --data-dir $(DEMO_DATA) serve

wheels: $(RUNTIME) ## Build the wheels of Ragstone and of its model into dist/
	@find $(DIST) -mindepth 1 -not -path $(MODEL_WHEEL) -delete
	@$(BIN)/python -m hatchling build --target wheel --directory $(DIST)
	@ls $(MODEL_WHEEL)

test: $(DEVELOP) ## Run the test suite; ARGS="…" go to pytest
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n auto $(ARGS)

clients: $(LITELLM)/.ready $(CLIENTS)/node_modules/.package-lock.json ## Install other people's clients, for the tests that use them

$(LITELLM)/.ready: $(UV) requirements/litellm.txt
	@$(UV) venv --quiet --clear --python $(BIN)/python $(LITELLM)
	@$(UV) pip install --quiet --python $(LITELLM)/bin/python --no-deps --require-hashes -r requirements/litellm.txt
	@touch $@

$(CLIENTS)/node_modules/.package-lock.json: $(CLIENTS)/package.json $(CLIENTS)/package-lock.json
	@cd $(CLIENTS) && npm ci --loglevel=error
	@touch $@

check: $(DEVELOP) ## What CI runs: style, types, import contracts, dependencies, tests
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry src
	@$(MAKE) --no-print-directory test

picture: $(DEVELOP) ## Draw docs/architecture.svg from the code
	@$(BIN)/python -m tools.draw_architecture

lock: $(UV) $(MODEL_WHEEL) ## Resolve the dependencies anew
	@sh requirements/lock.sh $(UV)

clean: ## Remove the environments, the wheels and the demo's data
	@rm -rf $(VENV) $(MODEL_TOOLS) $(DIST) $(DEMO_DATA) $(CLIENTS)/node_modules $(LITELLM) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.PHONY: help setup demo serve wheels test clients check picture lock clean
