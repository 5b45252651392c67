# For people: `make help`. For machines: `dvc repro`.

SHELL := /bin/bash
PYTHON ?= python3
VENV := $(CURDIR)/.venv
# DVC runs `python` from PATH; these recipes see the project's environment first.
export PATH := $(VENV)/bin:$(PATH)

RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev preset repro nightly test chaos bench check format ui dag compare summary report seeds curves track register judge clean clean-checkpoints

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'
	@echo "  PRESET=NAME with repro or preset: $(patsubst presets/%.yaml,%,$(wildcard presets/*.yaml))"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "groundup: $(PYTHON) is older than Python 3.11; to mend it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "-- making a Python environment in .venv"
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "-- installing the packages of constraints.txt (minutes, once)"
	$(PIP) install --quiet --constraint constraints.txt torch setuptools
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable .
	@touch $@

$(DEVELOPMENT): $(RUNTIME)
	@echo "-- installing what tests and checks need"
	$(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

setup: $(RUNTIME) ## Make the environment and install the pinned packages
	@echo "-- ready; next: make repro"

setup-dev: $(DEVELOPMENT)

preset: $(RUNTIME) ## Write presets/$(PRESET).yaml into params.yaml
	@test -n "$(PRESET)" || { echo "groundup: which preset? for example: make preset PRESET=small" >&2; exit 1; }
	groundup preset $(PRESET)

repro: $(RUNTIME) $(if $(PRESET),preset) ## Run the pipeline (what is out of date), then show the figures
	groundup check
	dvc repro
	@groundup track
	@groundup summary

# A clone of its own keeps this folder's params.yaml, models and lock as they are.
NIGHTLY := $(CURDIR)/.nightly
nightly: export PYTHONPATH := $(NIGHTLY)/src
nightly: export GROUNDUP_MIRROR := $(if $(GROUNDUP_MIRROR),$(abspath $(GROUNDUP_MIRROR)))
nightly: $(RUNTIME) ## Run the last commit on the real texts (preset small), in a folder of its own
	rm -rf $(NIGHTLY)
	git clone --quiet . $(NIGHTLY)
	cd $(NIGHTLY) && groundup preset small && groundup check && dvc repro && groundup summary && python .ci/figures.py small

# A file of tests stays in one process, which makes what its tests share once; in their order, the slowest files come first.
test: $(DEVELOPMENT) ## Run the tests with the coverage of src, as many side by side as there are cores (up to 4)
	pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered --cov-fail-under=90

KILLS ?= 60
chaos: $(DEVELOPMENT) ## Kill a small pipeline KILLS=60 times at random moments; every run must end with the same bytes
	$(VENV)/bin/python tests/pipeline/chaos.py $(KILLS)

# Nothing of the project imports these; they are beside the environment, whose packages they must not change.
PEERS := $(CURDIR)/.peers
$(PEERS)/.installed: benchmarks/peers.txt $(DEVELOPMENT)
	@echo "-- installing what the benchmarks compare with"
	$(PIP) install --quiet --no-deps --upgrade --target $(PEERS) --requirement benchmarks/peers.txt
	@touch $@

BENCHMARKS ?= training generation fine_tuning tokenizer packing growth large_corpus time_to_loss
bench: export PYTHONPATH := $(PEERS)
bench: $(PEERS)/.installed ## Measure everything beside its peers, on this machine (an hour; nothing else should run)
	@for name in $(BENCHMARKS); do echo; echo "== $$name"; $(VENV)/bin/python benchmarks/$$name.py || exit 1; done

check: $(DEVELOPMENT) ## Lint, format and types
	ruff check .
	ruff format --check .
	mypy

format: $(DEVELOPMENT) ## Put the code into its format
	ruff check --fix .
	ruff format .

ui: $(RUNTIME) ## Open the MLflow UI, for this machine only (PORT=5000 HOST=127.0.0.1)
	@echo "-- http://$(or $(HOST),127.0.0.1):$(or $(PORT),5000)/#/experiments/1/runs?compareRunsMode=CHART&workflowType=machine_learning"
	mlflow ui --host $(or $(HOST),127.0.0.1) --port $(or $(PORT),5000) --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}"

dag: $(RUNTIME) ## Draw the stages
	dvc dag

compare: $(RUNTIME) ## Show what changed since the last commit: parameters and figures (REV=other)
	dvc params diff $(REV)
	dvc metrics diff --all $(REV)

summary: $(RUNTIME) ## Show the headline figures of the last run
	@groundup summary

N ?= 5
seeds: $(RUNTIME) ## Run the pipeline over N=5 seeds, one after the other: mean, deviation, and what is only noise
	@groundup seeds --n $(N) $(if $(DATA_SEEDS),--data-seeds)

ROWS ?= 10,30,100,300,all
curves: $(RUNTIME) ## Fine-tune the classifier on ROWS=10,30,100,300,all labelled rows, with and without pretraining
	@groundup curves --rows $(ROWS)

report: ## Open the report of the last run, where there is a browser, and say where it lies
	@test -f reports/report.html || { echo "groundup: there is no report yet; to mend it: make repro" >&2; exit 1; }
	@echo "-- $(CURDIR)/reports/report.html"
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then xdg-open reports/report.html; elif [ "$$(uname)" = Darwin ]; then open reports/report.html; fi >/dev/null 2>&1 || true

track: $(RUNTIME) ## Write the finished pipeline to MLflow again, from its files
	groundup track

register: $(RUNTIME) ## Register the final models in MLflow; the champion changes only for a better test figure
	@groundup register

judge: $(RUNTIME) ## Let another language model grade the answers (MODEL=llama3.2 URL=http://127.0.0.1:11434/v1 LIMIT=n)
	@test -n "$(MODEL)" || { echo "groundup: which model? for example: make judge MODEL=llama3.2" >&2; exit 1; }
	@groundup judge --model "$(MODEL)" $(if $(URL),--url "$(URL)") $(if $(LIMIT),--limit "$(LIMIT)")

clean-checkpoints: ## Remove the states that stopped trainings would go on from
	@du -sh checkpoints 2>/dev/null || true
	rm -rf checkpoints

clean: ## Remove what the pipeline made; downloads, DVC's cache and MLflow's store stay
	rm -rf data/tokens data/splits models reports/evaluate reports/report.html checkpoints
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
