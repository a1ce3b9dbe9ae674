"""Plotly charts of many runs as HTML; the page contains Plotly itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from inception.errors import UserError
from inception.reports import page

# Makes Plotly follow the light or dark theme of the page.
STYLE = """
.js-plotly-plot text { fill: var(--text) !important; }
.js-plotly-plot .gridlayer path { stroke: var(--soft) !important; }
.js-plotly-plot .hoverlayer text { fill: #fff !important; }
.js-plotly-plot .updatemenu-item-rect { fill: var(--soft) !important; }
"""

# Below the chart, so that it fits on a phone; long legends scroll.
_LEGEND = {
  'orientation': 'h',
  'y': -0.2,
  'maxheight': 0.3,
  'font': {'size': 11},
  'bgcolor': 'rgba(0,0,0,0)',
}

_MOST_POINTS = 100  # Per curve; more would not be visible.
_LABELS = {
  'top1': 'top-1, %',
  'best_top1': 'best top-1, %',
  'top5': 'top-5, %',
  'param_count': 'parameters, millions',
  'images_per_second': 'images/s',
  'top1_mean': 'mean top-1, %',
  'top1_std': 'standard deviation, %',
  'count': 'runs',
}


def label(name: str) -> str:
  """Returns the heading of a column of results, with its unit."""
  return _LABELS.get(name, name)


def check_installed() -> None:
  """Raises UserError if Plotly is not installed."""
  _plotly()


def library() -> str:
  """Returns Plotly as a script element.

  Raises:
    UserError: Plotly is not installed.
  """
  return f'<script>{_plotly().offline.get_plotlyjs()}</script>'


def curves(
  runs: Mapping[str, Sequence[Mapping[str, Any]]], split: str, name: str
) -> str:
  """Draws a metric over steps, with a button for a logarithmic axis.

  Args:
    runs: Rows of metrics.jsonl by the name of the run.
    split: 'train', or 'evaluation' for all other splits.
    name: The metric.
  """
  scale = 100 if name.startswith('top') else 1  # Rows have fractions.
  lines = []
  for run, rows in runs.items():
    points = [
      (row['step'], scale * row[name])
      for row in rows
      if (row['split'] == 'train') == (split == 'train') and name in row
    ]
    points = points[:: -(-len(points) // _MOST_POINTS) or 1]
    lines.append(
      {
        'type': 'scatter',
        'mode': 'lines+markers' if len(points) < 20 else 'lines',
        'name': run,
        'x': [step for step, _ in points],
        'y': [value for _, value in points],
        'line': {'width': 1.5},
      }
    )
  buttons = [
    {'label': kind, 'method': 'relayout', 'args': [{'yaxis.type': kind}]}
    for kind in ('linear', 'log')
  ]
  menu: dict[str, Any] = {'type': 'buttons', 'direction': 'right'}
  menu |= {'buttons': buttons, 'showactive': False}
  # On the left: Plotly's toolbar is on the right.
  menu |= {'x': 0, 'y': 1.12, 'xanchor': 'left'}
  title = f'{label(name)} ({split})'
  return _figure(lines, title, 'step', label(name), updatemenus=[menu])


def scatter(
  points: Sequence[Mapping[str, Any]], x: str, y: str, name: str, color: str
) -> str:
  """Plots one field of results against another, on a logarithmic x-axis.

  Hovering over a point shows its field `name`; each value of the field `color`
  has a color.
  """
  groups: dict[str, list[Mapping[str, Any]]] = {}
  for point in points:
    if point.get(x) is not None and point.get(y) is not None:
      groups.setdefault(str(point.get(color)), []).append(point)
  traces = [
    {
      'type': 'scatter',
      'mode': 'markers',
      'name': value,
      'x': [point[x] for point in group],
      'y': [point[y] for point in group],
      'text': [point[name] for point in group],
      'marker': {'size': 10},
    }
    for value, group in groups.items()
  ]
  title = f'{label(y)} against {label(x)}'
  return _figure(traces, title, label(x), label(y), {'type': 'log'})


def bars(values: Mapping[str, float], title: str) -> str:
  """Draws shares as horizontal bars, the first one on top."""
  trace = {
    'type': 'bar',
    'orientation': 'h',
    'x': list(values.values())[::-1],
    'y': list(values)[::-1],
  }
  axis = {'tickformat': '.0%', 'rangemode': 'tozero'}
  height = f'{7 + 1.6 * len(values)}rem'
  return _figure([trace], title, '', '', axis, height, showlegend=False)


def _figure(
  traces: list[dict[str, Any]],
  title: str,
  x: str,
  y: str,
  xaxis: Mapping[str, Any] | None = None,
  height: str = '28rem',
  **layout: Any,
) -> str:
  axis = {'automargin': True, 'zeroline': False}
  figure = {
    'data': traces,
    'layout': {
      'title': {'text': page.text(title), 'font': {'size': 15}},
      'paper_bgcolor': 'rgba(0,0,0,0)',
      'plot_bgcolor': 'rgba(0,0,0,0)',
      'margin': {'l': 50, 'r': 15, 't': 50, 'b': 45},
      'xaxis': {**axis, 'title': {'text': page.text(x)}, **(xaxis or {})},
      'yaxis': {**axis, 'title': {'text': page.text(y)}},
      'hovermode': 'closest',
      'legend': _LEGEND,
      **layout,
    },
  }
  html: str = _plotly().io.to_html(
    figure,
    include_plotlyjs=False,
    full_html=False,
    validate=False,
    default_height=height,
    config={'responsive': True, 'displaylogo': False},
  )
  return html


def _plotly() -> Any:
  try:
    import plotly
    import plotly.io
    import plotly.offline
  except ImportError as error:
    raise UserError(
      "the page needs Plotly; pip install 'inception-jax[sweeps]'"
    ) from error
  return plotly
