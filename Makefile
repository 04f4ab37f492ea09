# One word for each job; `make run` and `make test` need nothing but Python >= 3.11.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
export FLWR_TELEMETRY_ENABLED := 0
export OMP_NUM_THREADS ?= 1

.PHONY: run test slow check full wheel versions golden bench notebooks clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

run: $(STAMP)
	$(BIN)/flower-simulation --app flwr_gan

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 -m 'not slow and not matrix'

slow: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 -m slow

full: $(STAMP)
	$(BIN)/python -m pytest -q -n 2

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

golden: $(STAMP)
	$(BIN)/python -m tests.golden.write

bench: $(STAMP)
	for name in wire_at_size trainer sparse_layers engine server end_to_end codecs protocol families updates; do \
	    $(BIN)/python -m experiments.benchmarks.$$name --short || exit 1; \
	done

notebooks: $(STAMP)
	$(BIN)/python notebooks/execute.py notebooks/*.ipynb

wheel: $(STAMP)
	sh .ci/wheel

versions: $(STAMP)
	sh .ci/flwr-versions

clean:
	rm -rf .venv build dist
