# Everything runs in .venv, inside the project. Needs Python 3.11 or newer and make.
#   make demo   set up what a night needs, then run the whole path on a synthetic bank
#   make test   add developers' tools, Spark and test servers; then check style, types, layers, tests
#   make quick  the laws and units alone: a few minutes, for while one works

PYTHON ?= python3
BIN := .venv/bin
RUN := .venv/.ready-run
READY := .venv/.ready
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SEED ?= 8
WHICH := import ssl, sys; print(sys.base_prefix, sys.version)
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
  --no-strip-extras --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet

# one thread each: threads of two processes would wait for each other on two cores
TESTS = TZ=UTC OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadscope -q \
  --randomly-seed=$(SEED) --hypothesis-seed=$(SEED)

.DEFAULT_GOAL := help
.PHONY: help demo test quick lint lock clean

help:  ## Show this help
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: $(RUN)  ## Run the main job end to end and write build/demo/demo.html
	$(BIN)/kyc-ml demo

test: lint  ## Run every check that CI runs; SEED=N orders tests and draws examples anew
	$(TESTS)

quick: $(READY)  ## Run the laws and units alone: no command end to end, no shipped data, no notebook
	KYC_ML_EXAMPLES=5 $(TESTS) -m "not slow" --ignore=tests/end_to_end --ignore=tests/shipped

lint: $(READY)  ## Check style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:  ## Renew both locks from pyproject.toml (needs uv); requirements-run.lock is what a night needs
	$(COMPILE) --extra dev --output-file requirements.lock
	$(COMPILE) --extra install --constraint requirements.lock --output-file requirements-run.lock

clean:  ## Remove what the targets made
	rm -rf .venv build mlruns mlflow.db .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(RUN): requirements-run.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@# over one of another Python, venv would leave a mixture of both
	@[ "$$($(BIN)/python -c '$(WHICH)' 2>/dev/null)" = "$$($(PYTHON) -c '$(WHICH)')" ] || rm -rf .venv
	@echo "setting up .venv: 0.9 GB, one to four minutes by network and disk"
	$(PYTHON) -m venv .venv
	$(INSTALL) --no-compile --require-hashes -r requirements-run.lock
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(READY): $(RUN) requirements.lock
	@echo "adding what tests need to .venv: 1.0 GB more; Spark is a download of 0.46 GB"
	@# Spark comes as source alone: it is built by the setuptools that the lock pins
	$(INSTALL) --no-compile --no-build-isolation --use-pep517 --require-hashes -r requirements.lock
	@touch $@
