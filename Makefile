# make reproduce DATASET=carinthia PROFILE=paper SEED=0 ARGS="--only 04"
PYTHON  ?= python3
DATASET ?= synthetic
PROFILE ?= standard
SEED    ?= 0
ARGS    ?=
WHEELS  ?= wheels

PY    := .venv/bin/python
STAMP := .venv/.installed
# two files of tests at a time, each with one thread: most tests keep no second core busy
TEST  := OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(PY) -m pytest -q -ra -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help setup reproduce test test-fast lab bench bench-gpu gallery paper-run book colab lint clean

help:
	@echo "make reproduce   run the notebooks into figures/   (DATASET=$(DATASET) PROFILE=$(PROFILE) SEED=$(SEED) ARGS=...)"
	@echo "make test        the whole test suite              (ARGS=... goes to pytest)"
	@echo "make test-fast   the tests that take seconds"
	@echo "make lab         the notebooks in JupyterLab"
	@echo "make bench       each fast path beside its plain reference"
	@echo "make bench-gpu   one GPU, in 9 minutes at most     (WHEELS=$(WHEELS): packages for a machine without a network)"
	@echo "make gallery     pictures and numbers of README and docs, from figures/synthetic/"
	@echo "make paper-run   docs/paper-run.md, from a run with PROFILE=paper"
	@echo "make book        the site from the executed notebooks   (docs/_build/html; DATASET=$(DATASET))"
	@echo "make colab       the repository's address in the Colab links   (REPO=owner/name, once after publishing)"
	@echo "make lint        ruff, on code and notebooks"
	@echo "make setup       only the set-up, in .venv         (PYTHON=$(PYTHON), 3.11 to 3.13)"
	@echo "make clean       remove caches and what the synthetic set made; .venv and other data sets stay"

setup: $(STAMP)

$(STAMP): pyproject.toml requirements.lock
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "semlib needs Python 3.11, 3.12 or 3.13, but '$(PYTHON)' is: $$("$(PYTHON)" --version 2>&1)"; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(PY) -m pip install --disable-pip-version-check -r requirements.lock
	$(PY) -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

reproduce: $(STAMP)
	$(PY) -m semlib reproduce --dataset "$(DATASET)" --profile "$(PROFILE)" --seed "$(SEED)" $(ARGS)

test: $(STAMP)
	$(TEST) $(or $(ARGS),--junitxml docs/_build/test.xml)

test-fast: $(STAMP)
	$(TEST) -m "not slow" $(or $(ARGS),--junitxml docs/_build/test-fast.xml)

lab: $(STAMP)
	$(PY) -m jupyter lab notebooks $(ARGS)

bench: $(STAMP)
	@mkdir -p docs/_build
	$(PY) -m pytest -q benchmarks --benchmark-quiet --benchmark-json docs/_build/bench.json
	@mv docs/_build/bench.json docs/bench.json

# where packages were carried there is no network: no .venv is made, and $(PYTHON) brings PyTorch
CARRIED := $(wildcard $(WHEELS)/*.whl)

ifeq ($(CARRIED),)
bench-gpu: $(STAMP)
	$(PY) -m benchmarks.gpu $(ARGS)
else
bench-gpu:
	"$(PYTHON)" -m pip install -q --disable-pip-version-check --no-index --no-deps --upgrade --target docs/_build/wheels $(CARRIED)
	PYTHONPATH=docs/_build/wheels "$(PYTHON)" -m benchmarks.gpu $(ARGS)
endif

gallery: $(STAMP)
	$(PY) docs/fill.py

paper-run: $(STAMP)
	$(PY) -m docs.paper_run --dataset "$(DATASET)" $(ARGS)

book: $(STAMP)
	$(PY) -m sphinx -q -d docs/_build/doctrees -D dataset="$(DATASET)" docs docs/_build/html
	@echo "the site: docs/_build/html/index.html"

colab:
	@test -n "$(REPO)" || { echo "Name the repository on GitHub: make colab REPO=owner/name"; exit 1; }
	@old=$$(sed -n 's#^repository-code: https://github.com/##p' CITATION.cff); \
	sed -i.old -e "s#github/$$old/blob#github/$(REPO)/blob#" -e "s#github.com/$$old /content#github.com/$(REPO) /content#" notebooks/*.ipynb; \
	sed -i.old "s#^repository-code: .*#repository-code: https://github.com/$(REPO)#" CITATION.cff; \
	rm -f notebooks/*.ipynb.old CITATION.cff.old

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

clean:
	rm -rf data/synthetic figures/synthetic docs/_build docs/api docs/notebooks .benchmarks .pytest_cache .ruff_cache *.egg-info
	find . -path ./.venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
