# The targets are the interface; CI calls the same ones. Everything lives in .venv and is built only when something changed.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
SOURCES := $(wildcard src/watchkeeper/native/*.c src/watchkeeper/native/*.h) $(shell find ui -type f -not -path '*/node_modules/*' 2>/dev/null)
WORKERS ?= 2

CONTAINERS_S ?= 2400

.PHONY: help demo harness containers test check lint types imports format page bench bench-check pictures docs clean
help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it (Debian: apt-get install python3 python3-venv)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q python3-venv; \
		else echo "$(PYTHON) lacks the venv module: sudo apt-get install python3-venv"; exit 1; fi; }
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): $(BIN)/python pyproject.toml constraints.txt hatch_build.py $(SOURCES)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[shop]'
	@touch $@

$(DEV_STAMP): $(RUN_STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt 'pip>=25.1'
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --group dev
	$(BIN)/python hatch_build.py --missing | xargs -r $(BIN)/python -m pip install -q --disable-pip-version-check
	@touch $@

demo: $(RUN_STAMP) ## Start Watchkeeper and the example shop, switch a fault on, show what is found
	$(BIN)/watchkeeper demo $(DEMO)

harness: $(RUN_STAMP) ## Three edges and a centre in containers (HARNESS="--base-image IMAGE" ...); docs/harness.md
	$(BIN)/watchkeeper harness up $(HARNESS)

test: check ## Set everything up, check lint, types, imports and the page, run every test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

containers: $(DEV_STAMP) ## Build and run the container harness for real: podman, as root; within CONTAINERS_S seconds
	timeout --kill-after=60 $(CONTAINERS_S) $(BIN)/python -m pytest -m containers --timeout $(CONTAINERS_S) --durations 10 tests/containers

check: lint types imports page ## Lint, types, import rules, the page's build and tests

lint: $(DEV_STAMP) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_STAMP) ## mypy, strict
	$(BIN)/mypy

imports: $(DEV_STAMP) ## import-linter: the floors of ARCHITECTURE.md
	$(BIN)/lint-imports --no-logo

page: $(DEV_STAMP) ## Type-check, build and test the web page
	$(BIN)/python hatch_build.py --test-page

format: $(DEV_STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV_STAMP) ## Measure (all, or BENCH="pipeline --json FILE"); docs/measurements.md tells what each figure means
	$(BIN)/python -m benchmarks $(BENCH)

bench-check: $(DEV_STAMP) ## Fail when a ratio is over 20 % worse than benchmarks/baseline.json (BENCH=--write: keep)
	$(BIN)/python -m benchmarks.check $(BENCH)

pictures: $(DEV_STAMP) ## Take the pictures of docs/images anew
	WATCHKEEPER_PICTURES=1 $(BIN)/python -m pytest -q tests/e2e -k picture

docs: $(DEV_STAMP) ## Write the generated parts of docs/ anew
	$(BIN)/python -m tests.docs.write

clean: ## Remove what was built
	rm -rf $(VENV) dist build src/watchkeeper/gateway/static src/watchkeeper/native/*.so ui/node_modules .cache
