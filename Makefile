# Two commands do everything: `make up` and `make test`. Both install what is missing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check
SOAK_SECONDS ?= 1800

.DEFAULT_GOAL := help
.PHONY: help install up test check tools pictures settings bench fuzz soak clean
.SILENT:

help:
	echo 'make up        a whole fleet on this machine: control, three edges, GeoDNS, a demo shop'
	echo 'make test      every check and test'
	echo
	echo 'make install   .venv with everything in it        make check     style, types, layers'
	echo 'make tools     the browser that tests drive       make settings  write docs/settings.md anew'
	echo 'make bench     side by side with peers            make fuzz      the properties, for long'
	echo 'make soak      a node under load, for long        make pictures  take the README’s pictures anew'
	echo 'make clean     remove what make made'

install: $(STAMP)

COMPILED := setup.py $(wildcard edge/*.pxd edge/*/*.pxd) $(patsubst %.pxd,%.py,$(wildcard edge/*.pxd edge/*/*.pxd)) \
            geo/spread.py geo/dns/siphash.py geo/dns/rates.py geo/dns/lane.py

$(STAMP): pyproject.toml $(COMPILED)
	command -v $(PYTHON) >/dev/null || { echo '$(PYTHON) is not there: make PYTHON=/path/to/python3.11'; exit 1; }
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Tepi needs Python 3.11 or newer, this is $$($(PYTHON) -V): make PYTHON=python3.12"; exit 1; }
	echo 'Installing into $(VENV)…'
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --upgrade pip
	PYTHONWARNINGS=ignore $(PIP) install --editable '.[dev]'
	touch $@

up: $(STAMP)
	exec $(BIN)/tepi up $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

tools: $(STAMP)
	$(BIN)/python -m tests.support.tools

# what measures time runs last and alone
ALONE := tests/scenarios tests/soak

test: check tools
ifdef ARGS
	$(BIN)/pytest $(ARGS)
else
	$(BIN)/pytest -q -n auto --dist loadgroup $(ALONE:%=--ignore=%)
	$(BIN)/pytest -q $(ALONE)
endif

pictures: $(STAMP) tools
	TEPI_PICTURES=docs/pictures $(BIN)/pytest -q tests/scenarios

settings: $(STAMP)
	$(BIN)/python -m docs.settings

bench: $(STAMP)
	$(BIN)/python -m bench $(ARGS)

fuzz: $(STAMP)
	TEPI_FUZZ_API=200 $(BIN)/pytest -s tests/control/api/test_schemathesis.py --timeout=0 $(ARGS)
	TEPI_FUZZ_HEADS=10000000 TEPI_FUZZ_COMPARED=20000 TEPI_FUZZ_PACKETS=10000000 $(BIN)/pytest -s tests/fuzz $(ARGS)
	$(BIN)/pytest -m hypothesis --hypothesis-profile=fuzz --timeout=0 $(ARGS)

soak: $(STAMP)
	TEPI_SOAK_SECONDS=$(SOAK_SECONDS) $(BIN)/pytest tests/soak --timeout=0 $(ARGS)

clean:
	rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
