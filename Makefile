# FRADECT: `make demo` shows it, `make test` proves it. Needs Python >= 3.11, git and make; nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := 0.13.9
FRADECT_HOME ?= $(CURDIR)/.fradect
BIN := .venv/bin
DATA ?=
DEMO ?=
TOUR ?=
PYTEST ?=

export FRADECT_HOME
# Nothing phones home; see fradect/settings.py for the same list.
export DO_NOT_TRACK := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := True
# Without cached byte code every process pays the imports twice over.
unexport PYTHONDONTWRITEBYTECODE

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: .venv/.ready ## Make .venv with the fradect command in it

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "FRADECT needs Python 3.11 or newer; call make with PYTHON=python3.12, for one")'
	@echo "Installing into .venv (about a minute, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check 'uv==$(UV_VERSION)'
	@$(BIN)/uv pip install -q --compile-bytecode --require-hashes -r requirements.lock
	@$(BIN)/uv pip install -q --no-deps --no-build-isolation --config-setting editable_mode=compat -e .
	@touch $@

demo: setup ## The whole story on simulated purchases, or on DATA=file.parquet
	@$(BIN)/fradect demo $(if $(DATA),--data "$(DATA)") $(DEMO)

tour: setup ## Drift, decay, retraining, shadow, canary, champion; then a bad release that is caught (TOUR="--seed 3")
	@$(BIN)/fradect tour $(TOUR)

test: setup ## All tests, on up to four cores
	@$(BIN)/pytest -n auto --maxprocesses=4 --dist loadfile $(PYTEST)

lint: setup ## Style, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy fradect flows training serving monitoring expectations feature_repo benchmarks clients/python/src
	@$(BIN)/lint-imports

faults: setup ## Kill, freeze and fill what FRADECT stands on, 300 rounds each (FRADECT_FAULT_ROUNDS)
	@FRADECT_FAULT_ROUNDS=$${FRADECT_FAULT_ROUNDS:-300} $(BIN)/pytest tests/faults -o timeout=7200 $(PYTEST)

bench: setup ## Benchmarks, each against its peer and its limit
	@$(BIN)/python -m benchmarks.windows
	@$(BIN)/python -m benchmarks.ledger
	@$(BIN)/python -m benchmarks.features
	@$(BIN)/python -m benchmarks.decisions
	@$(BIN)/python -m benchmarks.overload
	@$(BIN)/python -m benchmarks.neighbours
	@$(BIN)/python -m benchmarks.backtest
	@$(BIN)/python -m benchmarks.handbook
	@$(BIN)/python -m benchmarks.reproduce

flows: setup ## A local Prefect server (http://127.0.0.1:4200) that serves every deployment
	@$(BIN)/python -m flows.server

mlflow: setup ## MLflow's pages on http://127.0.0.1:5000
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --host 127.0.0.1 --port 5000 \
		--backend-store-uri "sqlite:///$(FRADECT_HOME)/mlflow/mlflow.db" --default-artifact-root "$(FRADECT_HOME)/mlflow/artifacts"

lock: setup ## Pin every dependency again, with hashes, for Python 3.11 to 3.13
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" --extra dev --upgrade pyproject.toml -o requirements.lock

clean: ## Remove the environment and all state
	rm -rf .venv "$(FRADECT_HOME)"

.PHONY: help setup demo tour test lint faults bench flows mlflow lock clean
