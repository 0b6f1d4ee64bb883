# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo demo-managed test check lint types prove prove-quick bench deb test-deb lock clean

demo: $(VENV)/.installed
	@$(BIN)/qfagent demo

demo-managed: $(VENV)/.installed
	@$(BIN)/qfagent demo --managed

test: $(VENV)/.tools
	$(BIN)/python -m pytest -n 2

check: lint types test prove-quick

prove: $(VENV)/.tools  # hours: every promise at full length, see docs/reliability.md
	-$(BIN)/pip install --quiet --disable-pip-version-check '.[fuzz]'
	$(BIN)/python -m tests.proof

prove-quick: $(VENV)/.tools  # minutes
	$(BIN)/python -m tests.proof --quick

lint: $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.tools
	$(BIN)/mypy

bench: $(VENV)/.tools
	$(BIN)/python bench/keys.py
	$(BIN)/python bench/scale.py
	$(BIN)/python bench/management.py
	$(BIN)/python bench/metrics.py
	$(BIN)/python bench/commands.py
	$(BIN)/python bench/idle.py

ARCHITECTURE ?= $(shell dpkg --print-architecture)

deb: $(VENV)/.installed  # a package for Debian 12, into dist/
	@mkdir -p dist && rm -f dist/*.deb
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} \
		$(BIN)/python -m contrib.debian.package $(ARCHITECTURE) dist

test-deb: deb $(VENV)/.tools  # as root: a minimal Debian, and the package in it
	tests/contrib/debian $(BIN)/python dist/qfagent_*_$(ARCHITECTURE).deb

lock: $(VENV)/.installed  # the dependencies as they are now
	@$(BIN)/python -m contrib.debian.wheels

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing qfagent into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.tools: $(VENV)/.installed
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz
