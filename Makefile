# Commands of the project. `make demo` and `make test` install all they need
# into .venv, the project itself included (editable).

VENV := .venv
PYTHON := $(VENV)/bin/python
# Environment of the reference implementations; see requirements-parity.txt.
PEERS := .venv-parity
PEERS_PYTHON := python3.11
VERSION := $(shell cat .python-version)
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

# XLA's arrays come and go with every step. On large pages the kernel has less
# to do: a step on CPUs is up to a tenth faster. See docs/speed-of-training.md.
export GLIBC_TUNABLES = glibc.malloc.hugetlb=1

.PHONY: demo sweep test lint parity clean

demo: $(VENV)/runtime
	$(PYTHON) train.py --workdir=runs/digits
	$(PYTHON) eval.py --workdir=runs/digits
	$(PYTHON) -m inception.reports.curves --workdir=runs/digits

sweep: $(VENV)/sweeps
	$(PYTHON) -m inception.sweeps --config=configs/sweeps/digits.py \
	  --workdir=runs/sweep

# libtpu, the compiler that plans are made with, is not in the environment
# itself: JAX would look for a TPU at every start.
test: $(VENV)/development $(VENV)/libtpu
	PYTHONPATH=$(CURDIR)/$(VENV)/libtpu $(PYTHON) -m pytest

lint: $(VENV)/development
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

# Lets the reference implementations write golden files and weights files
# again, and compares with them.
parity: $(VENV)/development $(PEERS)/installed
	$(PEERS)/bin/python -m tests.parity.torch_peers --output=runs/parity --weights
	$(PEERS)/bin/python -m tests.parity.torch_forms --output=runs/parity
	$(PEERS)/bin/python -m tests.parity.torch_training --output=runs/parity
	$(PYTHON) -m tests.parity.keras_training --output=runs/parity
	PARITY_FOLDER=runs/parity $(PYTHON) -m pytest tests/parity

clean:
	rm -rf $(VENV) $(PEERS) runs .pytest_cache .mypy_cache .ruff_cache
	rm -rf build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The target is pyvenv.cfg because $(PYTHON) is a symbolic link: Make would
# compare the modification time of the interpreter it points to.
$(VENV)/pyvenv.cfg: .python-version
	@command -v python$(VERSION) > /dev/null \
	  && python$(VERSION) --version > /dev/null 2>&1 \
	  || { echo "error: python$(VERSION) not found; install Python $(VERSION)" \
	  "(python.org, pyenv install $(VERSION) or uv python install $(VERSION))" \
	  "and put python$(VERSION) on the PATH" >&2; exit 2; }
	python$(VERSION) -m venv --clear $(VENV)

# pyproject.toml reads the dependencies from the requirements files.
$(VENV)/runtime: $(VENV)/pyvenv.cfg pyproject.toml requirements.txt
	$(PYTHON) $(PIP_INSTALL) --editable .
	touch $@

$(VENV)/sweeps: $(VENV)/pyvenv.cfg pyproject.toml requirements.txt \
  requirements-sweeps.txt
	$(PYTHON) $(PIP_INSTALL) --editable '.[sweeps]'
	touch $@

$(VENV)/development: $(VENV)/pyvenv.cfg pyproject.toml requirements.txt \
  requirements-dev.txt requirements-sweeps.txt requirements-trackers.txt
	$(PYTHON) $(PIP_INSTALL) --editable '.[dev,sweeps,trackers]'
	touch $@

$(VENV)/libtpu: $(VENV)/pyvenv.cfg requirements-tpu.txt
	rm -rf $@
	$(PYTHON) $(PIP_INSTALL) --no-deps --target $@ 'libtpu>=0.0.50,<0.1'

# --no-deps: facenet-pytorch and pytorch-fid ask for an older torch, which
# their networks do not need.
$(PEERS)/installed: requirements-parity.txt
	@$(PEERS_PYTHON) --version > /dev/null 2>&1 \
	  || { echo "error: $(PEERS_PYTHON) does not run; install Python 3.11 or" \
	  "give its path: make parity PEERS_PYTHON=/path/to/python3.11" >&2; \
	  exit 2; }
	$(PEERS_PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/python $(PIP_INSTALL) -r requirements-parity.txt
	$(PEERS)/bin/python $(PIP_INSTALL) --no-deps \
	  facenet-pytorch==2.6.0 pytorch-fid==0.3.0
	touch $@
