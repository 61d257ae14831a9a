# Two commands are all that a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow lint types contracts check bench real clean

$(BIN)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dbt]'
	touch $@

$(BIN)/.installed-dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(BIN)/.installed

## The main job on embedded DuckDB, from nothing: no server, no key.
demo: $(BIN)/.installed
	$(BIN)/dbt-activate demo

## All tests but the slow ones; PostgreSQL's server binaries must be installed. Three for two cores: many wait for a server or a process.
test: $(BIN)/.installed-dev
	$(BIN)/python -m pytest -n 3 --dist worksteal

test-slow: $(BIN)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow --timeout 7200

lint: $(BIN)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(BIN)/.installed-dev
	$(BIN)/mypy

contracts: $(BIN)/.installed-dev
	$(BIN)/lint-imports

check: lint types contracts test

## The replay of a year of real purchases (docs/real-input.md).
real: $(BIN)/.installed-dev
	$(BIN)/python -m tests.real

bench: $(BIN)/.installed-dev
	$(BIN)/python benchmarks/decide.py
	$(BIN)/python benchmarks/deliver.py

clean:
	rm -rf $(VENV) target logs .demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
