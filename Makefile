# The one door for people and CI. `make help` lists the targets.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
# two workers, one thread each: what fits two cores. A file stays with one worker, so its fixtures are made once.
PYTEST = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-all check format docs bench faults clean

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*  ## (.*)/\1|\2/' | \
		while IFS='|' read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done
	@echo
	@echo '  PYTHON=python3.12 make venv    another interpreter (3.11 or newer)'

venv: $(STAMP)  ## make .venv and install crossbit with the tested versions

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo '$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 venv' >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV): two to three minutes the first time'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $(STAMP)

demo: $(STAMP)  ## learn, measure, index and search drawings by words of many languages
	$(BIN)/crossbit demo

test: $(STAMP)  ## lint, types and tests: what CI runs
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy
	$(PYTEST) -m "not slow"

test-all: $(STAMP)  ## the same with the tests that take minutes
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy
	$(PYTEST)

check: $(STAMP)  ## the gate before a commit: lint, types, architecture and documentation, under a minute
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/architecture tests/docs

format: $(STAMP)  ## sort imports, fix what can be fixed, format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)  ## write docs/reference and the heads of docs/methods from the code
	$(BIN)/python tools/make_docs.py

bench: $(STAMP)  ## run every program of benchmarks/ against its peer
	@for program in benchmarks/*.py; do echo "== $$program"; $(BIN)/python $$program || exit 1; done

faults: $(STAMP)  ## kill, fill, close and damage collections, 200 times each: results/faults.json; an hour, best as root
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m faults --rounds 200 --output results/faults.json

clean:  ## remove .venv, caches and build folders; collections and results stay
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .crossbit src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
