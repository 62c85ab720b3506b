# make demo   own environment, installation, and the main job: about 7 minutes on two CPU cores
# make test   the test suite in the same environment: about 13 minutes on two cores
# make docs   guide and reference, build/docs/index.html: about a minute, after Sphinx is installed there

PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs/quickstart
BIN = $(VENV)/bin
# Most of the suite's time is XLA compiling programs that run once. Slow tests, and plain pytest, compile as users do.
QUICKLY_COMPILED = JAX_DISABLE_MOST_OPTIMIZATIONS=1

.PHONY: demo test slow-test docs clean

demo: $(VENV)/installed
	@echo "Training with and without the prior, then the page: about 5 minutes on two CPU cores."
	$(BIN)/python -m experiments.train --config=configs/quickstart.py --workdir=$(RUNS)/fourier
	$(BIN)/python -m experiments.train --config=configs/quickstart.py --workdir=$(RUNS)/none --config.prior.weight=0
	$(BIN)/python -m experiments.evaluate --config=configs/quickstart.py --workdir=$(RUNS)/fourier
	$(BIN)/python -m experiments.evaluate --config=configs/quickstart.py --workdir=$(RUNS)/none --config.prior.weight=0
	$(BIN)/python -m experiments.report --runs="Fourier prior=$(RUNS)/fourier,no prior=$(RUNS)/none" --output=$(RUNS)/report.html
	@echo "Open $(RUNS)/report.html in a browser."

test: $(VENV)/installed
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	@# in the order of folders, so that what comes last is short
	$(QUICKLY_COMPILED) $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

slow-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,notebook,docs]'
	$(BIN)/python -m pytest -m slow

docs: $(VENV)/docs-installed
	$(BIN)/python -m experiments.docs.figures
	$(BIN)/python -m sphinx -q -E -W --keep-going experiments/docs build/docs
	@echo "Open build/docs/index.html in a browser."

$(VENV)/docs-installed: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$$($(PYTHON) --version) is too old: fprior needs Python 3.11 or newer; make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing into $(VENV): one to two minutes."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) runs build dist *.egg-info
