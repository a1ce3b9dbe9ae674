"""The notebook: every cell runs, and it is stored without output."""

import os
import pathlib

import nbclient
import nbformat
import pytest

TOUR = pathlib.Path(__file__).parent.parent / 'examples' / 'tour.ipynb'


@pytest.fixture
def notebook():
  return nbformat.read(TOUR, as_version=4)


@pytest.mark.slow
def test_every_cell_runs(notebook, monkeypatch):
  # Few steps: they take less time than optimizing their program.
  monkeypatch.setenv('XLA_FLAGS', '--xla_backend_optimization_level=0')
  monkeypatch.setenv('PYTHONPATH', os.fspath(TOUR.parent.parent))
  resources = {'metadata': {'path': os.fspath(TOUR.parent)}}
  nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
  outputs = [
    output for cell in notebook.cells for output in cell.get('outputs', [])
  ]
  pictures = [o for o in outputs if 'image/png' in o.get('data', {})]
  assert len(pictures) == 2


def test_it_is_stored_without_output(notebook):
  assert not any(cell.get('outputs') for cell in notebook.cells)
