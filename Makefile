.DEFAULT_GOAL := help
.PHONY: help install format check test bench schemas docs screenshot build all

PYTHON ?= python3

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install:  ## Install the package and all tools, editable, into the current environment
	$(PYTHON) -m pip install --editable '.[dev]'

format:  ## Rewrite the code in the house's form
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

check:  ## Form, rules, types, layers, generated docs
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	lint-imports
	$(PYTHON) scripts/generate_docs.py --check
	$(PYTHON) scripts/generate_compatibility.py --check

test:  ## The test suite
	$(PYTHON) -m pytest

bench:  ## The numbers that the README claims (parity_sd15.py needs reference files, templates.py packages)
	$(PYTHON) benchmarks/engine_overhead.py
	$(PYTHON) benchmarks/engine_overhead.py --store disk
	$(PYTHON) benchmarks/ui_conversion.py
	$(PYTHON) benchmarks/cache_store.py
	$(PYTHON) benchmarks/cached_run.py
	$(PYTHON) benchmarks/checkpoint_load.py

schemas:  ## Write schemas/*.json from the models
	$(PYTHON) scripts/generate_schemas.py

docs:  ## Write the generated parts of the docs
	$(PYTHON) scripts/generate_docs.py
	$(PYTHON) scripts/generate_compatibility.py

screenshot:  ## Take the picture of the editor in the docs; needs Chromium and the extra `browser`
	$(PYTHON) scripts/take_editor_screenshot.py

build:  ## Build wheel and sdist, and look into the wheel
	$(PYTHON) -m build
	check-wheel-contents dist/*.whl

all: format check test  ## What a change must pass
