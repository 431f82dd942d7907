# make demo and make test set up all that they need: a virtual environment in .venv/, an engine in .engine/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Else each of some hundred processes would compile the same modules.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help venv engine engine-down base-python base-busybox test-tools node-tools lint test test-engine test-unit demo bench bench-audio-voice faults clean

PYTHON ?= python3
DEMO_IMAGE ?= audio-voice
PYTEST_OPTIONS ?= -ra --fail-on-skip --durations=10

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

base-python: engine # python:3.11-slim: pulled, or made where no registry is
	$(STEP) "base image python" bash -c '$(WITH_ENGINE) scripts/base-image.sh python'

base-busybox: engine
	$(STEP) "base image busybox" bash -c '$(WITH_ENGINE) scripts/base-image.sh busybox'

test-tools: ## the small Debian packages that linters and tests use
	@scripts/debian-packages.sh chromium e2fsprogs git iproute2 iptables mount passwd procps shellcheck sudo util-linux

node-tools: ## Prism and GitHub's description of its API, in .tools/
	$(STEP) "node tools" scripts/node-tools.sh

lint: venv test-tools ## ruff, mypy --strict, shellcheck
	$(STEP) "ruff check" .venv/bin/ruff check .
	$(STEP) "ruff format" .venv/bin/ruff format --check .
	$(STEP) "mypy" .venv/bin/mypy --strict
	$(STEP) "shellcheck" .venv/bin/python -c 'import glob, os; os.execlp("shellcheck", "shellcheck", "-x", *sorted(glob.glob("scripts/*.sh")), ".ci/run")'

# What needs no engine runs while the engine and its base images are made, and beside the first of the tests that do.
test: ## everything: linters, unit, engine and action tests; no test may be skipped
	@$(MAKE) -j2 test-engine test-unit

test-engine: venv base-python base-busybox test-tools node-tools
	$(STEP) "engine and action tests" bash -c '$(WITH_ENGINE) exec scripts/engine-tests.sh $(PYTEST_OPTIONS)'

test-unit: lint node-tools ## only linters and the tests that need no engine
	$(STEP) --whole "unit tests" .venv/bin/python -m pytest tests/unit tests/browser tests/github_api $(PYTEST_OPTIONS)

demo: ## gate the example service for real, ending with the verdict table and the report's path
	@$(MAKE) -j2 venv base-python
	$(STEP) "ci-budget check" bash -c '$(WITH_ENGINE) exec .venv/bin/ci-budget check --image $(DEMO_IMAGE)'

bench: ## measure what the README claims (takes long; wants a quiet machine)
	@$(MAKE) -j2 venv base-python base-busybox
	$(STEP) "benchmarks" bash -c '$(WITH_ENGINE) exec .venv/bin/python -m benchmarks'

bench-audio-voice: ## gate the example's full variant before and after, each measure, each cause (40 minutes, 45 GB)
	@$(MAKE) -j2 venv base-python
	$(STEP) "audio-voice, full variant" bash -c '$(WITH_ENGINE) exec .venv/bin/python -m benchmarks.audio_voice'

faults: ## inject every fault into real runs and write docs/reliability.md (takes long; wants a quiet machine)
	@$(MAKE) -j2 venv test-tools base-python base-busybox
	$(STEP) "faults" bash -c '$(WITH_ENGINE) exec .venv/bin/python -m faults'

clean: engine-down ## end the private engine and remove all that was made here
	@if grep -q ' $(CURDIR)/.engine/' /proc/self/mountinfo; then echo "clean: something is mounted below .engine; is a check running?" >&2; exit 1; fi
	@rm -rf --one-file-system .engine .tools .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
