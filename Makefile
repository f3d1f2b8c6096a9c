# `make quick` and `make test` are the whole set-up: each makes the virtual environment from the hashed lock if needed.
# Another Python gets an environment of its own beside it: `make test PYTHON=python3.12` makes .venv-python3.12.
PYTHON ?= python3
VENV ?= .venv$(if $(filter-out python3,$(notdir $(PYTHON))),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: quick test lint boards site screenshots docs clean

quick: $(VENV)/.run
	$(BIN)/ilbench run quick --out runs
	@echo
	$(BIN)/ilbench leaderboard quick --results runs
	@echo
	$(BIN)/ilbench theory quick --results runs
	@echo
	@echo "records: runs/   the same tables, from the records shipped with this version: results/"

test: $(VENV)/.dev  # two at a time: most of it is compiling, which keeps one core busy
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

boards: $(VENV)/.run  # regenerate the pages beside the shipped records, and what README and docs/ show
	$(BIN)/python -m ilbench.report.pages brax@1 results
	$(BIN)/python -m ilbench.report.pages brax@2 results
	$(BIN)/python -m ilbench.report.pages repairs results
	$(BIN)/python -m ilbench.report.pages matching results
	$(BIN)/python -m ilbench.report.pages replication results
	$(BIN)/python -m ilbench.report.pages expressivity results
	$(BIN)/python -m ilbench.report.pages quick@1 results
	$(BIN)/python -m ilbench.report.pages compounding results
	$(BIN)/python -m ilbench.report.pages quick results
	$(BIN)/ilbench replicate --write --results results > /dev/null

site: $(VENV)/.run  # everything in results/ as a static site: open site/index.html
	$(BIN)/ilbench report --results results --out site

screenshots: site  # README's two pictures of it; wants Chromium or Chrome
	$(BIN)/python docs/screenshots.py site docs/images

docs: $(VENV)/.docs  # docs/ as HTML: open docs/_build/html/index.html; a warning is an error
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ilbench needs Python 3.11 or newer; name one with: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --quiet --require-hashes -r requirements.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: requirements-dev.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/.run

$(VENV)/.docs: docs/requirements.txt | $(VENV)/.run
	$(PIP) install --quiet --require-hashes -r docs/requirements.txt  # a lock of its own: nothing that is run or tested needs it
	touch $@

clean:
	rm -rf .venv .venv-* runs dist site docs/_build
