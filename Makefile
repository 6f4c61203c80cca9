# `make demo` shows the whole path; `make test` proves it. Both make .venv and install what they need.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test ready pytest prove lint reference docs programs vendor clean

# on a terminal it ends with service and console running until Ctrl-C; `make demo CONSOLE=0` without
demo: .venv/installed vendor
	$(BIN)/shroff demo $(if $(filter 0,$(CONSOLE)),--no-keep)

# both at once take less time than one after the other; what lint says is shown whole, after the tests
test:
	@$(MAKE) --no-print-directory --jobs ready
	@$(MAKE) --no-print-directory lint > .venv/lint.log 2>&1 & lint=$$!; \
	trap 'kill $$lint 2> /dev/null' INT TERM; \
	$(MAKE) --no-print-directory pytest; tests=$$?; \
	wait $$lint; linted=$$?; cat .venv/lint.log; \
	[ $$tests = 0 ] && [ $$linted = 0 ]

# what tests need, from several places at once
ready: .venv/installed-dev programs vendor .venv/azurite .venv/axe

# where 4 GB of memory are free for files, tests write theirs there, where syncing takes no time
MEMORY := $(shell [ "$$(df -Pk /dev/shm 2> /dev/null | awk 'END { print $$4 }')" -gt 4000000 ] \
	2> /dev/null && echo /dev/shm)

# threads of OpenMP spin while they wait, which takes time from the other workers;
# bytecode is kept, whatever PYTHONDONTWRITEBYTECODE says: hundreds of processes import it
pytest: .venv/installed-dev
	@$(BIN)/python -m compileall -q -j 0 src benchmarks docs
	PYTHONDONTWRITEBYTECODE= TMPDIR=$${TMPDIR:-$(or $(MEMORY),/tmp)} OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} \
		$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 20 \
		--doctest-modules --doctest-glob=README.md src tests README.md

# the contract of the engines over twenty times as many random examples: an hour
prove: .venv/installed-dev
	SHROFF_TEST_THOROUGH=20 OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} \
		$(BIN)/python -m pytest --numprocesses auto --dist loadfile tests/contract tests/features/test_spark.py

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

reference: .venv/installed-dev
	$(BIN)/python -m docs.generate

# a site in site/: open site/index.html, or for the search `python3 -m http.server --directory site`
docs: .venv/installed-dev
	$(BIN)/python -m docs.site

# what tests start that pip does not bring, as program:package; RUNLEVEL=1: installed, not started
PROGRAMS := redis-server:redis-server chromium:chromium chromedriver:chromium-driver curl:curl promtool:prometheus

programs:
	@missing=; for program in $(PROGRAMS); do \
		command -v "$${program%%:*}" > /dev/null || missing="$$missing $${program#*:}"; done; \
	[ -z "$$missing" ] || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && apt-get update -qq && \
		RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends $$missing; \
	} || echo "not installed:$$missing: the tests that start them are skipped"

# the emulator of Azure Table storage, and what finds barriers in a page; without npm the tests that need them are skipped
NPM_PACKAGES := azurite@3.37.0 axe-core@4.14.1

.venv/azurite .venv/axe: .venv/%: .venv/python Makefile
	@if command -v npm > /dev/null; then \
		npm install --silent --no-audit --no-fund --no-package-lock --prefix $@ $(filter $*%,$(NPM_PACKAGES)) && touch $@; \
	else echo "no npm: the tests that need $* are skipped"; fi

.venv/python:
	$(PYTHON) -m venv .venv
	touch $@

# uv takes a third of pip's time; where it is missing, or its index does not answer, pip installs.
# Neither compiles 22,000 files of which a few thousand are imported
define INSTALL
echo "Installing what .venv needs"; \
index=$$($(BIN)/pip config get global.index-url 2> /dev/null || echo "$$PIP_INDEX_URL"); \
$(BIN)/pip install --quiet --no-compile --constraint constraints.txt uv && \
$(BIN)/uv pip install --quiet --native-tls $${index:+--default-index "$$index"} --python $(BIN)/python \
	--constraint constraints.txt --editable '.[$(1)]' || \
$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[$(1)]'
endef

# imported by all workers at once: each would compile them
IMPORTED := _pytest attr hypothesis litestar llvmlite matplotlib mlflow msgspec numba numpy onnx optuna pandas \
	polars pygments rich schemathesis scipy sklearn sqlalchemy sqlglot

.venv/installed: .venv/python pyproject.toml setup.py constraints.txt src/shroff/_speedups.pyx
	@$(call INSTALL,console)
	touch $@

.venv/installed-dev: .venv/python pyproject.toml setup.py constraints.txt src/shroff/_speedups.pyx
	@$(call INSTALL,dev)
	@cd .venv/lib/python*/site-packages && $(CURDIR)/$(BIN)/python -m compileall -q -j 0 -x /tests/ $(IMPORTED)
	touch $@ .venv/installed

# script of the console, into the package; without npm or network the console works without script
VENDOR := src/shroff/console/vendor
VENDOR_PACKAGES := htmx.org@2.0.11 uplot@1.6.32

vendor: $(VENDOR)/fetched

$(VENDOR)/fetched: src/shroff/console/vendor.sha256
	@rm -rf $(VENDOR); mkdir -p $(VENDOR); fetched=$$(mktemp -d); trap 'rm -rf "$$fetched"' EXIT; \
	if npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts --prefix "$$fetched" $(VENDOR_PACKAGES); then \
		cp "$$fetched"/node_modules/htmx.org/dist/htmx.min.js "$$fetched"/node_modules/uplot/dist/uPlot.iife.min.js \
			"$$fetched"/node_modules/uplot/dist/uPlot.min.css $(VENDOR) && \
		(cd $(VENDOR) && sha256sum --quiet --check ../vendor.sha256 && touch fetched) || \
		{ rm -rf $(VENDOR); echo "what npm gave for the console is not what is pinned; it works without script"; }; \
	else rm -rf $(VENDOR); echo "npm did not fetch the script of the console; it works without"; fi

clean:
	rm -rf .venv demo site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
