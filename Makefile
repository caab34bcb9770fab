# Needs Python 3.11 or newer, make and a package index; everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
QUICK := tests/database tests/jobs tests/model tests/web tests/worker tests/test_architecture.py
BIN := $(VENV)/bin
# They are written last, so that an install which was broken off is never taken for a whole one.
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
UV_VERSION := 0.13.9
# The files name every package, down to the last. Compiling is left to all cores, or to the first import; what cannot be
# compiled is not imported either.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-compile
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib

# A dozen processes start, and each would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run check test check-models check-slow check-stores lint format requirements bench fuzz chaos clean FORCE

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile

run: $(RUNTIME) ## start everything on http://127.0.0.1:8000 (HOST, PORT and SCORELINE_* change that)
	@exec $(BIN)/python -m ops.launch

check: $(DEV) ## lint, types and the tests that need no running service: what to run all day
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m ruff format --check --quiet .
	@$(BIN)/python -m mypy
	@$(BIN)/python -m pytest -m "not models and not stores and not slow and not running" -n 3 --dist loadfile $(QUICK) $(ARGS)

test: $(DEV) ## run the tests (ARGS="tests/jobs -k csv" narrows it)
	@$(BIN)/python -m pytest -rs -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check-models: $(DEV) ## add 200 models as practitioners build them, and compare every prediction (ARGS="-k xgboost")
	@$(BIN)/python -m pytest -rs -m "" -n 2 --dist loadgroup tests/models $(ARGS)

check-slow: $(DEV) ## what `make test` leaves out: further kills, hosts, versions and pages, schemathesis
	@$(BIN)/python -m pytest -rs -m slow -n 2 --dist loadfile $(ARGS)

check-stores: $(DEV) ## the whole service on other stores, through a failover, and killed while an object store is used
	@$(BIN)/python -m pytest -rs -m stores -n 2 --dist loadfile tests/e2e tests/faults $(ARGS)

lint: $(DEV) ## ruff and mypy
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: $(DEV) ## let ruff format and fix what it can
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

requirements: $(RUNTIME) ## pin requirements*.txt again from requirements*.in
	$(PYTHON) -m venv $(VENV)/uv
	$(VENV)/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	for name in requirements requirements-explain requirements-boosters requirements-onnx requirements-tracing requirements-dev; do \
	  $(VENV)/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	    --no-annotate --no-header --output-file $$name.txt $$name.in || exit 1; \
	done

bench: $(DEV) ## measure side by side with others and write bench/RESULTS.md (ARGS="--quick" for a small run)
	@$(BIN)/python -m bench $(ARGS)

fuzz: $(DEV) ## send files, records and requests of all kinds, at length (ARGS="--inputs 1000000 --examples 2000")
	@$(BIN)/python -m tests.fuzz $(ARGS)

chaos: $(DEV) ## kill, freeze and starve a running service and report what was lost (ARGS="--seed 1 --kills 70")
	@$(BIN)/python -m tests.chaos $(ARGS)

clean: ## remove .venv and caches; jobs and models under var/ stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A .venv whose Python is gone (an upgraded system, a moved checkout) is made anew, too.
$(RUNTIME): requirements.txt $(shell test -x $(BIN)/python || echo FORCE)
	@command -v $(PYTHON) >/dev/null || \
	  { echo "scoreline: there is no '$(PYTHON)'; PYTHON=... names a Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "scoreline: '$(PYTHON)' is older than Python 3.11; PYTHON=... names a newer one" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "scoreline: '$(PYTHON)' has no venv module; Debian and Ubuntu have it in the package python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV), once"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) -r requirements.txt
	@$(COMPILE) || true
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	@echo "Installing the tools for tests into $(VENV), once"
	@rm -f $(RUNTIME)
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $(RUNTIME) $@

FORCE:
