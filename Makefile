# `make help` lists the targets. GNU make 3.81, which macOS has, is enough.
# The newest Python from 3.11 to 3.14 that can make a virtual environment; `make PYTHON=...` names another.
PYTHON  ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$python -c 'import importlib.util as u, sys; (3, 11) <= sys.version_info < (3, 15) and \
  print(u.find_spec("ensurepip") is not None, sys.version_info[1], "'$$python'")' 2>/dev/null; \
  done | sort -r -s -k 1,1 -k 2,2 | head -n 1 | cut -d ' ' -f 3)
PROFILE ?= quick
ARGS    ?=

VENV  := .venv
BIN   := $(VENV)/bin
BEGUN := $(VENV)/.begun
STAMP := $(VENV)/.installed
LOCK  := build/lock

.DEFAULT_GOAL := help
.PHONY: help test reproduce site notebooks assignments grade readme lint format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

test: lint ## ruff, codespell, pyright, pytest and nbval (ARGS='-k physics' is passed on to pytest)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope \
	  --nbval-lax --nbval-current-env --nbval-cell-timeout=300 tests $(wildcard notebooks/*.ipynb) $(ARGS)

reproduce: $(STAMP) ## run every notebook into build/; PROFILE=paper also computes missing paper-scale runs
	$(BIN)/mecsim reproduce --profile $(PROFILE)

site: $(STAMP) ## README, results, notebooks and public names as pages (ARGS='-D repository=owner/name' for links that run them)
	rm -rf build/site build/doctrees
	$(BIN)/python -m sphinx -q -W --keep-going -c docs -b html -d build/doctrees $(ARGS) . build/site
	@echo Open build/site/index.html

notebooks: format ## execute the committed notebooks in place, the only way their outputs are made
	OMP_NUM_THREADS=1 $(BIN)/python tools/execute.py $(ARGS)

assignments: $(STAMP) ## the students' notebooks, without solutions (ARGS='--class-seed 7' for other numbers)
	$(BIN)/python course/assignments.py release $(ARGS)

grade: $(STAMP) ## autograde notebooks/assignments/submitted or ARGS=folder; writes feedback and grades.csv
	OMP_NUM_THREADS=1 $(BIN)/python course/assignments.py grade $(ARGS)

readme: $(STAMP) ## write the tables of README and ASSUMPTIONS anew from the stored runs
	$(BIN)/python tools/readme.py

lint: $(STAMP) ## ruff, codespell and pyright, notebooks included
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

format: $(STAMP) ## let ruff format and fix what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## write constraints.txt anew: newest releases within the bounds of pyproject.toml; check what has a marker by hand
	rm -rf $(LOCK)
	$(PYTHON) -m venv $(LOCK)
	$(LOCK)/bin/python -m pip install --quiet -e '.[dev,explore,bench,course,cluster]'
	$(LOCK)/bin/python -m pip check
	grep '^#' constraints.txt > $(LOCK)/pins
	{ grep ' ; ' constraints.txt; $(LOCK)/bin/python -m pip freeze --all --exclude-editable | sed 's/+.*//'; } | \
	  awk -F '==' '/ ; / { kept[$$1] } / ; / || !($$1 in kept)' | \
	  grep -vE '^(pip|triton|cuda-.*|nvidia-.*)==' | LC_ALL=C sort -f -u >> $(LOCK)/pins
	mv $(LOCK)/pins constraints.txt

clean: ## remove build/ and the caches; .venv stays
	rm -rf build .pytest_cache .ruff_cache .hypothesis
	find mecsim benchmarks course tests tools notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

# The stamp is written last, so a set-up that was cut short starts over with an empty .venv: pip cannot tell a
# half-written package from a whole one. A .venv that somebody else has made is kept, with the torch that is in it. What
# nbgrader and the notebook package that it brings add to every JupyterLab is taken out: make and the tests do without
# it. Importing the kernel compiles Algorithm 1, once, so that no user waits for it.
$(STAMP): pyproject.toml constraints.txt
	@test -n '$(PYTHON)' && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo 'mecsim needs Python 3.11 to 3.14: install one, or say where it is with make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo '$(PYTHON) lacks its module venv: install it, on Debian and Ubuntu with apt install python3-venv' >&2; exit 1; }
	@test ! -e $(BEGUN) && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@touch $(BEGUN) && rm -f $@
	@echo 'Installing the pinned dependencies into $(VENV): a few minutes, once.'
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@cd $(VENV)/share/jupyter/labextensions && rm -rf @jupyter/nbgrader @jupyter-notebook
	@cd $(VENV)/etc/jupyter/jupyter_server_config.d && rm -f nbgrader.json notebook.json
	$(BIN)/python -c 'import mecsim.kernel'
	@mv $(BEGUN) $@
