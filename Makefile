# The two commands a newcomer needs are `make run` and `make test`; `make help` lists the rest.
.DEFAULT_GOAL := help
VENV ?= .venv
# Test files that run at once: most wait for processes, so two cores carry a few.
TESTERS ?= 3
# Byte code is kept even where a container's shell forbids it: every start compiles a thousand modules else.
unexport PYTHONDONTWRITEBYTECODE
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo $(VENV)-uv/bin/uv)

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

$(VENV)-uv/bin/uv:
	@python3 -m venv $(VENV)-uv && $(VENV)-uv/bin/pip install --quiet uv || \
		{ rm -rf $(VENV)-uv; echo "make: needs Python 3.11+ with its venv module (Debian: apt-get install python3-venv)"; exit 1; }

setup: $(VENV)/.ready ## make the virtual environment from the lock

$(VENV)/.ready: pyproject.toml uv.lock
	@[ -x "$(UV)" ] || $(MAKE) --no-print-directory $(VENV)-uv/bin/uv
	$(UV) sync --frozen --quiet --all-extras
	@touch $@

run: setup ## start the platform with the demo configuration
	$(BIN)/quantum run --demo

check: setup ## lint, types, floors, architecture: under a minute
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -q tests/architecture

test: setup ## every test that needs no Docker engine
	$(BIN)/pytest -q -n $(TESTERS) --dist loadfile

simulation: setup ## 20,000 generated histories of the sync client, on every core: some two minutes
	$(BIN)/python -m tests.simulation --histories 20000 --prefix ci

e2e-compose: setup ## the end-to-end scenarios against `docker compose up` (needs an engine)
	$(BIN)/pytest -q tests/e2e -m compose

conformance: setup ## every sentence for HTTP/1, 2 and 3, with bodies of a gibibyte too
	$(BIN)/pytest -q tests/conformance tests/autobahn -m "not compose"

bench: setup ## beside Caddy and nginx: requests/s, latency, CPU per request, ratios
	$(BIN)/python -m bench

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what was built
	rm -rf $(VENV) $(VENV)-uv .mypy_cache .ruff_cache .pytest_cache

.PHONY: help setup run check test simulation conformance e2e-compose bench format clean
