# Every target does the set-up it needs on a fresh Linux machine with Python 3.11+.
PYTHON ?= python3
BIN := .venv/bin
MODEL := .venv/.model

.PHONY: demo demo-mainnet test test-slow test-wheel lint bench clean

# Tests run side by side, a process a core: threads of numpy and torch would only wait for each other.
test test-slow: export OPENBLAS_NUM_THREADS = 1
test test-slow: export OMP_NUM_THREADS = 1

demo: $(MODEL)
	$(BIN)/subnet demo

demo-mainnet: $(MODEL)
	$(BIN)/subnet demo --regime mainnet

test: lint $(MODEL)
	$(BIN)/pytest -n 2 -m "not slow"

test-slow: $(MODEL)
	$(BIN)/pytest -n 2 --dist loadfile -m slow -o timeout=1500

test-wheel: .venv/.installed
	PYTHON=$(PYTHON) .ci/wheel

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(MODEL)
	$(BIN)/python benchmarks/epoch.py
	$(BIN)/python benchmarks/devnet.py
	$(BIN)/python benchmarks/wire.py
	$(BIN)/python benchmarks/flood.py
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/seedlock.py

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

$(MODEL): .venv/.installed
	$(BIN)/subnet model fetch
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
