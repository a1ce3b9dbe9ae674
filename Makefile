# make demo, make test: each sets up all it needs, in .venv.

VENV := .venv
PYTHON := $(VENV)/bin/python
VERSION := $(shell cat .python-version)

.PHONY: demo test lint clean

demo: $(VENV)/runtime
	$(PYTHON) train.py --workdir=runs/digits
	$(PYTHON) eval.py --workdir=runs/digits
	$(PYTHON) -m inception.analysis.curves --workdir=runs/digits

test: $(VENV)/development
	$(PYTHON) -m pytest

lint: $(VENV)/development
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Not $(PYTHON): that is a link, as old as the Python that it leads to.
$(VENV)/pyvenv.cfg: .python-version
	@command -v python$(VERSION) > /dev/null \
	  && python$(VERSION) --version > /dev/null 2>&1 \
	  || { echo "error: python$(VERSION) is missing; install Python $(VERSION)" \
	  "(python.org, pyenv install $(VERSION) or uv python install $(VERSION))" \
	  "so that python$(VERSION) runs" >&2; exit 2; }
	python$(VERSION) -m venv --clear $(VENV)

$(VENV)/runtime: $(VENV)/pyvenv.cfg requirements.txt
	$(PYTHON) -m pip install --quiet --disable-pip-version-check \
	  -r requirements.txt
	touch $@

$(VENV)/development: $(VENV)/pyvenv.cfg requirements.txt requirements-dev.txt
	$(PYTHON) -m pip install --quiet --disable-pip-version-check \
	  -r requirements-dev.txt
	touch $@
