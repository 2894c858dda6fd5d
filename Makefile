# Every target works from a fresh clone: the environment is made on first use, and again when its inputs change.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DOCS_INSTALLED := .venv/.docs-installed

.PHONY: help install demo test docs lint types wheel clean

help:
	@echo "make install the environment .venv; the other targets make it on first use, too"
	@echo "make demo    from nothing to a leaderboard on the mini world"
	@echo "make test    the tests, on two processes"
	@echo "make docs    build/docs/index.html; warnings are errors"
	@echo "make lint    ruff: rules and format"
	@echo "make types   mypy"
	@echo "make wheel   dist/*.whl"
	@echo "make clean   remove environment, builds and caches; results stay"

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit('sigma-bench needs Python 3.11 or newer' if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]"
	touch $@

install: $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/sigma-bench demo

# Bytecode is kept, because tests start processes that would compile the package again.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal -rs

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install -c constraints.txt -e ".[docs]"
	touch $@

# Imports are read from the files, so every page is read again.
docs: $(DOCS_INSTALLED)
	$(BIN)/python -m sphinx -E -W --keep-going -n -q docs build/docs
	@echo "build/docs/index.html"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

wheel: $(INSTALLED)
	$(BIN)/python -m hatchling build -t wheel -d dist

clean:
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
