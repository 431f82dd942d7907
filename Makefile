# make demo and make test set up all that they need: a virtual environment in .venv/, an engine in .engine/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help venv engine engine-down test-tools lint test demo bench clean

PYTHON ?= python3
DEMO_IMAGE ?= audio-voice
TESTS ?= tests/unit tests/engine tests/action
PYTEST_OPTIONS ?=

STEP := @scripts/step.sh
VENV_STAMP := .venv/.installed
WITH_ENGINE := source .engine/env && export CI_BUDGET_STATE="$(CURDIR)/.engine/state" &&

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

venv: $(VENV_STAMP) ## the virtual environment, from the hash-locked requirements-dev.lock

$(VENV_STAMP): requirements-dev.lock pyproject.toml scripts/venv.sh
	$(STEP) "virtual environment" scripts/venv.sh $(PYTHON)
	@touch $@

engine: ## a Docker engine: the running one if it is fit, else a private one in .engine/ (as root)
	$(STEP) "engine" scripts/engine.sh up

engine-down: ## end the private engine; its images stay in .engine/
	@scripts/engine.sh down

test-tools: ## the small Debian packages that linters and tests use
	@scripts/debian-packages.sh e2fsprogs git iproute2 iptables mount procps shellcheck util-linux

lint: venv test-tools ## ruff, mypy --strict, shellcheck
	$(STEP) "ruff check" .venv/bin/ruff check .
	$(STEP) "ruff format" .venv/bin/ruff format --check .
	$(STEP) "mypy" .venv/bin/mypy --strict
	$(STEP) "shellcheck" .venv/bin/python -c 'import glob, os; os.execlp("shellcheck", "shellcheck", "-x", *sorted(glob.glob("scripts/*.sh")), ".ci/run")'

test: venv engine lint ## everything: linters, unit, engine and action tests; no test may be skipped
	$(STEP) "base images" bash -c '$(WITH_ENGINE) scripts/base-image.sh busybox && scripts/base-image.sh python'
	$(STEP) "tests" bash -c '$(WITH_ENGINE) exec .venv/bin/python -m pytest $(TESTS) -ra --fail-on-skip --durations=10 $(PYTEST_OPTIONS)'

demo: venv engine ## gate the example service for real, ending with the verdict table and the report's path
	$(STEP) "base image" bash -c '$(WITH_ENGINE) scripts/base-image.sh python'
	$(STEP) "ci-budget check" bash -c '$(WITH_ENGINE) exec .venv/bin/ci-budget check --image $(DEMO_IMAGE)'

bench: venv engine ## measure what the README claims (takes long; wants a quiet machine)
	$(STEP) "base images" bash -c '$(WITH_ENGINE) scripts/base-image.sh busybox && scripts/base-image.sh python'
	$(STEP) "benchmarks" bash -c '$(WITH_ENGINE) exec .venv/bin/python -m benchmarks'

clean: engine-down ## end the private engine and remove all that was made here
	@if grep -q ' $(CURDIR)/.engine/' /proc/self/mountinfo; then echo "clean: something is mounted below .engine; is a check running?" >&2; exit 1; fi
	@rm -rf --one-file-system .engine .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
