# `make help` lists the targets. Needs make and Python 3.11 or later; everything else is installed into .venv.

SHELL := /bin/sh
.DEFAULT_GOAL := help
# The first interpreter that is new enough and can make virtual environments; `make PYTHON=... test` picks another.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	if "$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo "$$name"; exit 0; fi; done; echo missing)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := requirements/dev.txt
LOCK_TOOLS := .cache/lock-tools
COMPILE = $(LOCK_TOOLS)/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --quiet $(if $(UPGRADE),--upgrade)
TEST_ARGS ?=
# Tests run in this many processes; a file's tests stay together (tests/conftest.py).
JOBS ?= 2

.PHONY: help demo test check format docs bench campaign picture lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)$$/  make \1\t\2/p' Makefile | expand -t 20

demo: $(STAMP) ## real logs become trusted numbers: runs both example projects and prints what came out
	$(BIN)/tide demo wikimedia
	$(BIN)/tide demo collapse

test: $(STAMP) ## run the tests; TEST_ARGS='-k sessions' picks some
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder $(TEST_ARGS)

check: $(STAMP) ## linters, format, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(STAMP) ## put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## renew what documents take from the code
	$(BIN)/python docs/modules.py
	$(BIN)/tide docs $(addprefix --refresh ,ARCHITECTURE.md docs/settings.md $(wildcard examples/*/README.md))

bench: $(STAMP) ## speed and memory against bare DuckDB, as ratios of one run (minutes)
	$(BIN)/python -m benchmarks.run $(BENCH_ARGS)

campaign: $(STAMP) ## long kill and fuzz runs (tens of minutes)
	$(BIN)/python -m pytest -m slow $(TEST_ARGS)

picture: $(STAMP) ## renew docs/images/demo.svg from what the demo really prints
	$(BIN)/python docs/picture.py

lock: $(LOCK_TOOLS)/.installed ## renew the locked versions after pyproject.toml changed; UPGRADE=1 takes newer ones
	$(COMPILE) --group dev -o requirements/dev.txt
	$(COMPILE) --group dev --group server --extra spark --extra postgres -c requirements/dev.txt -o requirements/ci.txt

clean: ## remove the virtual environment, caches and everything that was built
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist target
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(STAMP): $(LOCK) pyproject.toml
	@if [ "$(PYTHON)" = missing ]; then \
	echo "Python 3.11 or later with venv is needed (Debian: apt-get install python3-venv)," \
	"or name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 2; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $(STAMP)

$(LOCK_TOOLS)/.installed:
	$(PYTHON) -m venv $(LOCK_TOOLS)
	$(LOCK_TOOLS)/bin/python -m pip install --disable-pip-version-check --quiet uv
	@touch $@
