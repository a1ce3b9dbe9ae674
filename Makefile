# Commands of the project. Each installs what it needs into .venv, the project
# itself included (editable), unless it is installed already.

VENV := .venv
PYTHON := $(VENV)/bin/python
# Environment of the reference implementations; see requirements-parity.txt.
PEERS := .venv-parity
PEERS_PYTHON := python3.11
VERSION := $(shell cat .python-version)
PIP_INSTALL := -m pip install --disable-pip-version-check
# Draws the page of a sweep; sweep engines are for `make test-all` only.
PLOTLY := $(shell grep -o '^plotly[^ ]*' requirements-sweeps.txt)
# Checks exported graphs; the other runtimes are for `make test-all` only.
ONNX := $(shell grep -o '^onnx>[^ ]*' requirements-export.txt)

# XLA allocates and frees arrays in every step. Huge pages make that cheaper: a
# step on CPUs is up to a tenth faster. See docs/speed-of-training.md.
export GLIBC_TUNABLES = glibc.malloc.hugetlb=1

.PHONY: demo sweep test test-all lint parity clean

demo: $(VENV)/runtime
	@echo "Training on handwritten digits: two minutes on two CPU cores, to a" \
	  "top-1 of about 98.6 %; then evaluation and curves."
	$(PYTHON) train.py --workdir=runs/digits
	$(PYTHON) eval.py --workdir=runs/digits
	$(PYTHON) -m inception.reports.curves --workdir=runs/digits

sweep: $(VENV)/sweeps
	$(PYTHON) -m inception.sweeps --config=configs/sweeps/digits.py \
	  --workdir=runs/sweep

# Every mechanism, on small networks.
test: $(VENV)/development
	$(PYTHON) -m pytest -m 'not slow'

# Also the slow tests; see CONTRIBUTING.md. libtpu, the compiler for plans, is
# kept outside the environment: with it, JAX would look for a TPU at every
# start.
test-all: $(VENV)/everything $(VENV)/libtpu
	PYTHONPATH=$(CURDIR)/$(VENV)/libtpu $(PYTHON) -m pytest

lint: $(VENV)/development
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

# Regenerates golden files and weights files with the reference
# implementations, and compares with them.
parity: $(VENV)/development $(PEERS)/installed
	$(PEERS)/bin/python -m tests.parity.torch_peers --output=runs/parity --weights
	$(PEERS)/bin/python -m tests.parity.torch_forms --output=runs/parity
	$(PEERS)/bin/python -m tests.parity.torch_training --output=runs/parity
	$(PEERS)/bin/python -m tests.parity.generative_peers --output=runs/parity
	$(PYTHON) -m tests.parity.keras_training --output=runs/parity
	PARITY_FOLDER=runs/parity $(PYTHON) -m pytest tests/parity tests/generative

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
	@# Resolves three times as fast as the pip that comes with Python 3.12.
	$(PYTHON) $(PIP_INSTALL) --upgrade 'pip>=25.3'

# pyproject.toml reads the dependencies from the requirements files.
comma := ,
define install
	@echo "Installing JAX, TensorFlow and others into $(VENV), once: $(1) GB unpacked, a few minutes."
	$(PYTHON) $(PIP_INSTALL) --editable $(2)
	touch $@
endef

$(VENV)/runtime: $(VENV)/pyvenv.cfg pyproject.toml requirements.txt
	$(call install,3,.)

$(VENV)/sweeps: $(VENV)/pyvenv.cfg pyproject.toml requirements.txt \
  requirements-sweeps.txt
	$(call install,4,'.[sweeps]')

$(VENV)/development: $(VENV)/pyvenv.cfg pyproject.toml requirements.txt \
  requirements-dev.txt requirements-sweeps.txt requirements-export.txt
	$(call install,3,'.[dev]' '$(PLOTLY)' '$(ONNX)')

# Sweep engines, trackers, and runtimes of exported files.
$(VENV)/everything: $(VENV)/development requirements-trackers.txt
	$(call install,4,'.[dev$(comma)sweeps$(comma)trackers$(comma)export]')

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
	  facenet-pytorch==2.6.0 pytorch-fid==0.3.0 \
	  torch-fidelity==0.4.0 clean-fid==0.1.35
	# torch-fidelity installs a package `tests`, which would hide ours.
	rm -rf $(PEERS)/lib/python*/site-packages/tests
	touch $@
