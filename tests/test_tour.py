"""The notebook: every cell runs, and is stored with its output."""

import os
import pathlib

import nbclient
import nbformat
import pytest

TOUR = pathlib.Path(__file__).parent.parent / 'examples' / 'tour.ipynb'


@pytest.fixture
def notebook():
  return nbformat.read(TOUR, as_version=4)


def texts(notebook):
  """Returns the text output of each code cell."""
  return [
    [
      output.get('text') or output.get('data', {}).get('text/plain')
      for output in cell.outputs
    ]
    for cell in notebook.cells
    if cell.cell_type == 'code'
  ]


@pytest.mark.slow
def test_every_cell_runs(notebook, monkeypatch):
  # A few steps take less time than optimizing their program.
  monkeypatch.setenv('XLA_FLAGS', '--xla_backend_optimization_level=0')
  monkeypatch.setenv('PYTHONPATH', os.fspath(TOUR.parent.parent))
  resources = {'metadata': {'path': os.fspath(TOUR.parent)}}
  stored = texts(notebook)
  # The cell that downloads is tagged and skipped.
  nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
  outputs = [
    output for cell in notebook.cells for output in cell.get('outputs', [])
  ]
  pictures = [o for o in outputs if 'image/png' in o.get('data', {})]
  assert len(pictures) == 2
  # The table and its cost are the same on every machine.
  assert texts(notebook)[:2] == stored[:2]


def test_the_notebook_is_stored_with_output(notebook):
  for cell in notebook.cells:
    if cell.cell_type == 'code':
      skipped = 'skip-execution' in cell.metadata.get('tags', [])
      assert bool(cell.outputs) != skipped
      assert 'error' not in [output.output_type for output in cell.outputs]
