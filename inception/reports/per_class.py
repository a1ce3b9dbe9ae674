"""A page about one evaluation: classes, confusions, and the worst mistakes.

`eval.py --report=F.html` writes it. The page is self-contained.
"""

from collections.abc import Mapping, Sequence
import datetime
import math
import os
from typing import Any

from inception import errors
from inception.reports import calibration, page

_LARGEST_MATRIX = 40  # Classes; with more, only pairs are listed.
_PAIRS = 15
_SHORT = 3  # Longest label, in letters, that is not rotated.

_STYLE = """
.bar { width: 12rem; background: var(--soft); padding: 0; }
.bar div { background: var(--mark); height: 0.8rem; }
.pairs td:nth-child(2), .pairs th:nth-child(2) { text-align: left; }
.matrix td { min-width: 1.6rem; border: 1px solid var(--faint); }
.long thead th + th { writing-mode: vertical-rl; rotate: 180deg; border: 0;
  border-top: 1px solid var(--line); text-align: left; padding: 0.6rem 0.2rem; }
.worst { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); }
figure { margin: 0; font-size: 13px; overflow-wrap: anywhere; }
img { width: 100%; image-rendering: auto; background: var(--faint); }
"""


def render(results: Mapping[str, Any], details: Mapping[str, Any]) -> str:
  """Returns the page as HTML, from `Evaluation.results` and `details`."""
  classes, confusion = details['classes'], details['confusion']
  title = f'{details["network"]}: {results["dataset"]} {results["split"]}'
  size, today = details['image_size'], datetime.date.today()
  parts = [
    f'<p>{page.text(details["workdir"])}, step {results["step"]},'
    f' {results["precision"]}, {size} x {size} pixels, {today}</p>',
    _summary(results),
    '<h2>Confidence</h2>',
    calibration.diagram(details['bins']),
    '<h2>Classes, the least accurate first</h2>',
    _class_table(classes, confusion),
    '<h2>Confusions</h2>',
  ]
  if len(classes) <= _LARGEST_MATRIX:
    parts.append(_matrix(classes, confusion))
  parts.append(_pairs(classes, confusion))
  parts += ['<h2>Most confident mistakes</h2>', _worst(details['worst'])]
  return page.render(title, parts, _STYLE)


def _summary(results: Mapping[str, Any]) -> str:
  share, count = results['top1'], results['examples']
  if not count:
    return '<p>No examples were counted.</p>'
  least, most = interval(share, count)
  loss = page.number(results['loss'], '.4f')
  return (
    f'<p>{errors.count(count, "example")}. Top-1 {share:.2%}, top-5'
    f' {results["top5"]:.2%}, loss {loss}. 95 % confidence interval of top-1'
    f' (Wilson): {least:.1%} to {most:.1%}.</p>'
  )


def interval(share: float, count: int) -> tuple[float, float]:
  """Returns Wilson's 95 % confidence interval of a share of `count` trials.

  Without trials, it is 0 to 1.
  """
  if not count:
    return 0.0, 1.0
  z = 1.96
  center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
  spread = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
  half = spread / (1 + z**2 / count)
  return max(0.0, center - half), min(1.0, center + half)


def _class_table(
  classes: Sequence[str], confusion: Sequence[Sequence[int]]
) -> str:
  """Returns the table of classes, the worst first."""
  rows = []
  for label, counts in enumerate(confusion):
    total = sum(counts)
    if total:
      rows.append((counts[label] / total, classes[label], total))
  cells = [
    f'<tr><td>{page.text(name)}</td><td>{total:,}</td><td>{share:.1%}</td>'
    f'<td class="bar"><div style="width:{share:.1%}"></div></td></tr>'
    for share, name, total in sorted(rows)
  ]
  return (
    '<table><thead><tr><th>class</th><th>examples</th><th>accuracy</th>'
    '<th></th></tr></thead>' + ''.join(cells) + '</table>'
  )


def _pairs(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> str:
  pairs = sorted(
    (
      (count, label, guess)
      for label, counts in enumerate(confusion)
      for guess, count in enumerate(counts)
      if count and label != guess
    ),
    key=lambda pair: (-pair[0], pair[1:]),
  )
  if not pairs:
    return '<p>None.</p>'
  rows = [
    f'<tr><td>{page.text(classes[label])}</td><td>{page.text(classes[guess])}</td>'
    f'<td>{count:,}</td></tr>'
    for count, label, guess in pairs[:_PAIRS]
  ]
  return (
    '<table class="pairs"><thead><tr><th>class</th><th>predicted</th>'
    '<th>examples</th></tr></thead>' + ''.join(rows) + '</table>'
  )


def _matrix(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> str:
  head = ''.join(f'<th>{page.text(name)}</th>' for name in classes)
  is_long = max(map(len, classes)) > _SHORT
  rows = []
  for label, counts in enumerate(confusion):
    total = max(1, sum(counts))
    cells = ''.join(
      f'<td style="background:{_color(count / total, label == guess)}">'
      f'{count or ""}</td>'
      for guess, count in enumerate(counts)
    )
    rows.append(f'<tr><th>{page.text(classes[label])}</th>{cells}</tr>')
  return (
    f'<table class="matrix{" long" if is_long else ""}"><thead><tr>'
    '<th>class / predicted</th>'
    f'{head}</tr></thead>' + ''.join(rows) + '</table>'
  )


def _color(share: float, right: bool) -> str:
  red, green, blue = (43, 108, 163) if right else (200, 60, 40)
  return f'rgba({red},{green},{blue},{0.75 * share:.2f})'


def _worst(worst: Sequence[Mapping[str, Any]]) -> str:
  if not worst:
    return '<p>None.</p>'
  folder = os.path.commonpath([os.path.dirname(w['name']) for w in worst])
  names = [w['name'].removeprefix(f'{folder}/') for w in worst]
  figures = [
    f'<figure><img alt="" src="data:image/png;base64,{entry["png"]}">'
    f'<figcaption><b>{page.text(entry["label"])}</b> predicted as'
    f' <b>{page.text(entry["predicted"])}</b>,'
    f' {page.number(entry["probability"], ".1%")}<br>'
    f'{page.text(name)}</figcaption></figure>'
    for name, entry in zip(names, worst)
  ]
  where = f'<p>In {page.text(folder)}:</p>' if folder else ''
  return f'{where}<div class="worst">{"".join(figures)}</div>'
