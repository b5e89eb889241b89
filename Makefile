# make demo   sets up and runs the demonstration
# make test   sets up and runs the tests
# make lint   sets up and runs the linters
# make docs   sets up and builds the documentation as a site, in build/site
# make clean  removes what was set up
#
# PYTHON=python3.12 chooses the Python, VENV=folder where to set up.

# The first that runs, is new enough and can make virtual environments; a name on the path may be an empty shim.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && \
	echo $$python && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
VERSION := -c 'import sys; print("Python %d.%d" % sys.version_info[:2])'

.PHONY: demo test lint docs clean usable

demo: $(VENV)/.demo
	$(BIN)/streamspot demo
	@echo "the command is $(BIN)/streamspot; try: $(BIN)/streamspot run --source 0"

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.dev
	$(INSTALL) -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python found that runs: install Python 3.11 or 3.12 with venv, or name one: make PYTHON=..."; exit 1; }
	@test ! -e $(VENV) || { echo "the Python of $(VENV) is gone; run make clean first"; exit 1; }
	@echo "setting up $(VENV) with $$($(PYTHON) $(VERSION)), $$(command -v $(PYTHON)); this takes minutes the first time"
	@$(PYTHON) -m venv $(VENV)

# An environment from earlier serves if it still works and nobody asked for another Python.
usable: | $(BIN)/python
	@$(BIN)/python -c 'import pip' 2>/dev/null || { echo "the Python of $(VENV) was replaced by another; run make clean first"; exit 1; }
	@test "$(origin PYTHON)" = file || test "$$($(BIN)/python $(VERSION))" = "$$($(PYTHON) $(VERSION))" || \
		{ echo "$(VENV) has $$($(BIN)/python $(VERSION)), not $$($(PYTHON) $(VERSION)); run make clean first"; exit 1; }

$(VENV)/.demo: pyproject.toml constraints.txt | usable
	$(INSTALL) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | usable
	$(INSTALL) -e '.[train,report,convert,review,lsl,osc,parquet,onnx,dev]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV)
