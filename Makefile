# make demo, make test: each sets up all it needs, in .venv.

VENV := .venv
PYTHON := $(VENV)/bin/python
# Of the peers' own code; see requirements-parity.txt.
PEERS := .venv-parity
PEERS_PYTHON := python3.11
VERSION := $(shell cat .python-version)

.PHONY: demo test lint parity clean

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

# Golden files and weights files made anew by the peers, and compared.
parity: $(VENV)/development $(PEERS)/installed
	$(PEERS)/bin/python -m tests.parity.torch_peers --output=runs/parity --weights
	PARITY_FOLDER=runs/parity $(PYTHON) -m pytest tests/parity

clean:
	rm -rf $(VENV) $(PEERS) runs .pytest_cache .mypy_cache .ruff_cache
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

# facenet-pytorch and pytorch-fid ask for an older torch; their networks do not
# need it.
$(PEERS)/installed: requirements-parity.txt
	@$(PEERS_PYTHON) --version > /dev/null 2>&1 \
	  || { echo "error: $(PEERS_PYTHON) does not run; install Python 3.11 or" \
	  "say where it is: make parity PEERS_PYTHON=/path/to/python3.11" >&2; \
	  exit 2; }
	$(PEERS_PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
	  -r requirements-parity.txt
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps facenet-pytorch==2.6.0 pytorch-fid==0.3.0
	touch $@
