# `make demo` shows the whole path; `make test` proves it. Both make .venv and install what they need.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint clean

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

# Servers that tests start for real. Where one is missing and cannot be installed, its tests are skipped and say so.
.PHONY: servers
servers:
	@command -v redis-server >/dev/null 2>&1 || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && \
		  { apt-get install -y -qq redis-server || { apt-get update -qq && apt-get install -y -qq redis-server; }; } \
		  >/dev/null 2>&1; } || echo "redis-server is not here and cannot be installed: its tests will be skipped"

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
