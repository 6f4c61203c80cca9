# `make demo` shows the whole path; `make test` proves it. Both make .venv and install what they need.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint servers clean

demo: .venv/installed
	$(BIN)/shroff demo

test: .venv/installed-dev servers
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest --doctest-modules --doctest-glob=README.md src tests README.md

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# what tests start that pip does not bring; RUNLEVEL=1: installed, not started
servers:
	@command -v redis-server > /dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && apt-get update -qq && \
		RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends redis-server; \
	} || echo "redis-server is not installed: the tests of state in Redis are skipped"

.venv/python:
	$(PYTHON) -m venv .venv
	touch $@

.venv/installed: .venv/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: .venv/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ .venv/installed

clean:
	rm -rf .venv demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
