# Two commands do everything: `make lab` sets up and opens the lab, `make test` sets up and tests.
# PYTHON names the interpreter that makes .venv (3.11 or newer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TEST_READY := $(VENV)/.test-ready
# two processes, a file in one of them: fixtures of a file are made once; files begin in the order of tests/conftest.py
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: lab test verify fidelity browser lint bench clean

lab: $(READY)  ## open JupyterLab on the notebooks, with the sandbox behind it
	@$(BIN)/labkit lab

test: $(TEST_READY)  ## check style and types, run every test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest $(PYTEST_ARGS)

verify: $(READY)  ## run every lesson twice, headless, part 3 in a second lab meanwhile, and print a line a run
	@$(BIN)/labkit verify --beside 3

fidelity: $(TEST_READY)  ## replay what the real services answered, print the table, renew docs/fidelity.md
	@$(BIN)/python -m tests.fidelity

browser: $(TEST_READY)  ## open the lab in headless Chromium, click, take pictures
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,browser]'
	@$(BIN)/pytest -n 0 tests/browser

bench: $(TEST_READY)  ## print the benchmarks
	@$(BIN)/python -m benchmarks

lint: $(TEST_READY)
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format . && $(BIN)/mypy

$(READY): pyproject.toml setup.sh
	@PYTHON="$(PYTHON)" sh setup.sh "$(VENV)"
	@touch $@

$(TEST_READY): pyproject.toml setup.sh
	@PYTHON="$(PYTHON)" sh setup.sh "$(VENV)" "[test]"
	@touch $(READY) $@

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache
