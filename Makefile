# One word for each job; `make run` and `make test` need nothing but Python >= 3.11.
PYTHON ?= python3
BIN := .venv/bin
BASE := .venv/.installed-run
DEV := .venv/.installed
DOCS := .venv/.installed-docs
# Modules are compiled when they are first imported: most of what is installed never is. Where no
# bytecode may be written, every process would compile torch again: three to five seconds.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt
export FLWR_TELEMETRY_ENABLED := 0
export OMP_NUM_THREADS ?= 1
export NO_MKDOCS_2_WARNING := 1

.PHONY: run test long slow soak full check docs wheel versions golden bench notebooks clean

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(BASE): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[dev]'
	touch $@ $(BASE)

$(DOCS): pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[docs]'
	touch $@ $(BASE)

run: $(BASE)
	$(BIN)/flower-simulation --app flwr_gan

test: $(DEV)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'not long and not slow and not soak and not matrix'

long: $(DEV)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'long and not slow'

docs: $(DOCS)
	$(BIN)/mkdocs build --strict

slow: $(DEV)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m slow

soak: $(DEV)
	$(BIN)/python -m pytest -q -m soak

full: $(DEV)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'not soak'

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

golden: $(DEV)
	$(BIN)/python -m tests.golden.write

bench: $(DEV)
	for name in start wire_at_size trainer sparse_layers engine server end_to_end codecs protocol families updates patches participation; do \
	    $(BIN)/python -m experiments.benchmarks.$$name --short || exit 1; \
	done

notebooks: $(DEV)
	$(BIN)/python notebooks/execute.py notebooks/*.ipynb

wheel: $(DEV)
	sh .ci/wheel

versions: $(DEV)
	sh .ci/versions

clean:
	rm -rf .venv build dist site
