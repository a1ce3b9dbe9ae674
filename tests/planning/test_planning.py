"""Planning: parsing compiled programs, and the estimates from them."""

import importlib.util
import json
import subprocess

import jax
from jax import lax
import jax.numpy as jnp
import pytest

from inception.errors import UserError
from inception.planning import chips, devices, drawing, report
from inception.planning.estimate import Estimate, by_kind, by_stage, estimate
from inception.planning.operations import operations
from inception.planning.plan import Plan, largest_batch
from inception.planning.programs import Compiled, compile_for
from inception.processes.device_program import DeviceProgram
from tests import tiny, warm

pytestmark = pytest.mark.usefixtures('python')

# As XLA prints a program for a TPU, shortened.
PROGRAM = """HloModule jit_function, is_scheduled=true

%fused_computation (param_0: bf16[8,4], param_1: bf16[4,4]) -> bf16[8,4] {
  %param_0 = bf16[8,4]{1,0:T(8,128)(2,1)} parameter(0)
  %param_1 = bf16[4,4]{1,0:T(8,128)(2,1)} parameter(1)
  ROOT %conv.1 = bf16[8,4]{1,0} convolution(%param_0, %param_1), dim_labels=bf
}

%body (arg: (f32[8])) -> (f32[8]) {
  %arg = (f32[8]{0}) parameter(0)
  %gte = f32[8]{0} get-tuple-element(%arg), index=0
  %add.1 = f32[8]{0} add(%gte, %gte), backend_config={"estimated_cycles":"100"}
  ROOT %tuple.1 = (f32[8]{0}) tuple(%add.1)
}

ENTRY %main (x: bf16[8,4], k: bf16[4,4]) -> bf16[8,4] {
  %x = bf16[8,4]{1,0:T(8,128)(2,1)} parameter(0)
  %k = bf16[4,4]{1,0:T(8,128)(2,1)} parameter(1)
  %copy-start = (bf16[8,4]{1,0}, bf16[8,4]{1,0}, u32[]{:S(2)}) copy-start(%x)
  %copy-done = bf16[8,4]{1,0:T(8,128)(2,1)S(1)} copy-done(%copy-start)
  %fusion.7 = bf16[8,4]{1,0:T(8,128)(2,1)S(1)} fusion(%copy-done, %k), \
kind=kOutput, calls=%fused_computation, \
metadata={op_name="jit(f)/transpose(jvp(Network))/Mixed_2b/conv"}, \
backend_config={"window_config":{},"estimated_cycles":"1500","x":"0"}
  %scatter.1 = f32[1024]{0:T(1024)} select-and-scatter(%fusion.7, %k), \
metadata={op_name="jit(f)/Conv2d_1a_3x3/reduce_window_max"}
  %all-reduce.2 = (f32[250]{0}, f32[750]{0}) all-reduce(%k, %x), \
channel_id=1, to_apply=%region
  %while.1 = (f32[8]{0}) while(%tuple.0), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"20"}}
  ROOT %bitcast.1 = bf16[8,4]{1,0} bitcast(%fusion.7)
}
"""

# As XLA prints one for a GPU, shortened: a convolution of 3x3x64x96 on a grid
# of 35 x 35, its two gradients, and a matrix product inside a fusion.
GPU_PROGRAM = """HloModule jit_function, is_scheduled=true

%gemm (a: bf16[32,2048], b: bf16[2048,1000]) -> f32[32,1000] {
  %a = bf16[32,2048]{1,0} parameter(0)
  %b = bf16[2048,1000]{1,0} parameter(1)
  ROOT %dot.1 = f32[32,1000]{1,0} dot(%a, %b), lhs_contracting_dims={1}, \
rhs_contracting_dims={0}
}

ENTRY %main (x: bf16[32,35,35,64], k: bf16[96,3,3,64]) -> bf16[8,4] {
  %x = bf16[32,35,35,64]{3,2,1,0} parameter(0)
  %k = bf16[96,3,3,64]{3,2,1,0} parameter(1)
  %y = (bf16[32,35,35,96]{3,2,1,0}, u8[0]{0}) custom-call(%x, %k), \
window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_o01i->b01f, \
custom_call_target="__cudnn$convForward"
  %g = bf16[32,35,35,96]{3,2,1,0} get-tuple-element(%y), index=0
  %dx = (bf16[32,35,35,64]{3,2,1,0}, u8[0]{0}) custom-call(%g, %k), \
dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardInput"
  %dk = (bf16[96,3,3,64]{3,2,1,0}, u8[0]{0}) custom-call(%x, %g), \
dim_labels=b01f_o01i->b01f, custom_call_target="__cudnn$convBackwardFilter"
  %p = f32[32,1000]{1,0} fusion(%a.1, %b.1), kind=kCustom, calls=%gemm
}
"""


def compiled(**fields):
  return Compiled(
    text=PROGRAM,
    seconds=1.0,
    peak_bytes=2**30,
    flops=1e6,
    bytes_moved=1e6,
    **fields,
  )


def test_operations_are_read_with_their_loops():
  found = {op.name: op for op in operations(PROGRAM)}
  assert list(found) == ['fusion.7', 'scatter.1', 'all-reduce.2', 'add.1']
  fusion = found['fusion.7']
  assert (fusion.cycles, fusion.kind) == (1500, 'convolution')
  assert fusion.is_backward and not found['scatter.1'].is_backward
  assert fusion.bytes_read_written == 64 + 32 + 64
  assert (found['scatter.1'].cycles, found['scatter.1'].kind) == (
    None,
    'pooling',
  )
  assert found['all-reduce.2'].result_bytes == 4000
  assert (found['add.1'].cycles, found['add.1'].times) == (100, 20)


def test_arithmetic_of_gpu_programs():
  convolution = 2 * 32 * 35 * 35 * 3 * 3 * 64 * 96
  found = {op.name: op for op in operations(GPU_PROGRAM)}
  assert list(found) == ['y', 'dx', 'dk', 'p']
  assert [found[name].flops for name in ('y', 'dx', 'dk')] == [convolution] * 3
  assert found['p'].flops == 2 * 32 * 2048 * 1000
  assert all(op.kind == 'convolution' for op in found.values())


def test_gaps_in_gpu_programs_are_filled():
  """The source of a fusion, and the size of an all-reduce-start."""
  program = """
%inner (a: f32[8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  ROOT %window.1 = f32[8]{0} reduce-window(%a), \
metadata={op_name="jit(f)/Mixed_3b/reduce_window_max"}
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %x = f32[250]{0} parameter(0)
  %q = f32[8]{0} fusion(%x), kind=kLoop, calls=%inner, metadata={other="q"}
  %s = (f32[250]{0}, f32[250]{0}) all-reduce-start(%x), to_apply=%add
  %d = f32[250]{0} all-reduce-done(%s)
}
"""
  window, reduce = operations(program)
  assert window.source == 'jit(f)/Mixed_3b/reduce_window_max'
  assert (reduce.kind, reduce.result_bytes) == ('all-reduce', 1000)


def test_loops_of_tpu_programs():
  """Their trip count is only in the condition."""
  program = """
%condition (c: (s32[], f32[8])) -> pred[] {
  %limit = s32[]{:T(128)} constant(8)
  %c = (s32[]{:T(128)}, f32[8]{0}) parameter(0)
  %counter = s32[]{:T(128)} get-tuple-element(%c), index=0
  ROOT %lt.1 = pred[]{:T(512)} compare(%counter, %limit), direction=LT, \
metadata={op_name="jit(f)/while/cond/lt" stack_frame_id=7}
}

%other (d: (s32[], f32[8])) -> pred[] {
  %d = (s32[]{:T(128)}, f32[8]{0}) parameter(0)
  ROOT %done = pred[]{:T(512)} get-tuple-element(%d), index=0
}

%body (b: (s32[], f32[8])) -> (s32[], f32[8]) {
  %b = (s32[], f32[8]{0}) parameter(0)
  ROOT %add.1 = f32[8]{0} add(%b, %b), backend_config={"estimated_cycles":"5"}
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %while.1 = (s32[]{:T(128)}, f32[8]{0}) while(%x), condition=%condition, \
body=%body, metadata={op_name="jit(f)/while" stack_frame_id=5}
  %while.2 = (s32[]{:T(128)}, f32[8]{0}) while(%x), condition=%other, body=%body
}
"""
  assert [op.times for op in operations(program)] == [8, 1]


def test_a_slice_reads_what_it_returns():
  program = """
%inner (a: f32[1000], b: f32[8]) -> f32[8] {
  %a = f32[1000]{0} parameter(0)
  %b = f32[8]{0} parameter(1)
  %slice.1 = f32[8]{0} slice(%a), slice={[16:24]}
  ROOT %add.1 = f32[8]{0} add(%slice.1, %b)
}

%whole (c: f32[1000]) -> f32[8] {
  %c = f32[1000]{0} parameter(0)
  %slice.2 = f32[8]{0} slice(%c), slice={[0:8]}
  ROOT %reduce.1 = f32[8]{0} reduce(%c, %slice.2), dimensions={0}
}

ENTRY %main (x: f32[1000], y: f32[8]) -> f32[8] {
  %x = f32[1000]{0} parameter(0)
  %y = f32[8]{0} parameter(1)
  %p = f32[8]{0} slice(%x), slice={[0:8]}
  %q = f32[8]{0} fusion(%x, %y), kind=kLoop, calls=%inner
  %r = f32[8]{0} fusion(%x), kind=kLoop, calls=%whole
}
"""
  read = {op.name: op.bytes_read_written for op in operations(program)}
  assert read == {'p': 2 * 32, 'q': 3 * 32, 'r': 4000 + 32}


def test_gpus_are_assumed_to_run_at_full_speed():
  topology = chips.parse('h100')
  program = Compiled(GPU_PROGRAM, seconds=1.0, peak_bytes=2**30)
  found = estimate(program, topology, 32)
  convolutions = 3 * 2 * 32 * 35 * 35 * 3 * 3 * 64 * 96 / 989e12
  product = 2 * 32 * 2048 * 1000 / 989e12
  assert found.step_seconds == pytest.approx(convolutions + product)
  assert found.peak_share == pytest.approx(1)
  assert found.limit == 'arithmetic' and found.not_estimated == 4
  too_large = Compiled(GPU_PROGRAM, seconds=1.0, peak_bytes=70 * 2**30)
  assert not estimate(too_large, topology, 32).fits
  assert estimate(too_large, chips.parse('h200'), 32).fits


def test_gpus_of_a_host():
  assert chips.parse('h100').size == 1
  eight = chips.parse('h200:8')
  # Seven eighths are sent twice, over one link to the switch.
  assert eight.all_reduce_seconds(450e9) == pytest.approx(2 * 7 / 8, rel=1e-4)
  for name in ('h100:16', 'h100:2x2', 'h100:0'):
    with pytest.raises(UserError, match='1 to 8 GPUs'):
      chips.parse(name)


@pytest.mark.parametrize(
  ('name', 'links', 'hops'),
  [
    ('v5e:2x1', 1, 2),
    ('v5e:4x4', 2, 12),
    ('v5e:8x16', 3, 30),
    ('v5e:16x16', 4, 32),
    ('v5p:4x4x2', 5, 10),
  ],
)
def test_axes_are_lines_or_rings(name, links, hops):
  topology = chips.parse(name)
  sent = 2 * 1e9 * (topology.size - 1) / topology.size
  expected = sent / (links * topology.chip.link) + hops * 1e-6
  assert topology.all_reduce_seconds(1e9) == pytest.approx(expected)


def test_time_is_cycles_memory_and_all_reduces():
  topology = chips.parse('v5e:2x2')
  plan = estimate(compiled(), topology, batch_size=64)
  assert plan.cycles == 1500 + 20 * 100
  moving = (4096 + 64 + 32) / 819e9
  # Two links of 50 GB/s, 3/4 of the bytes twice, two hops there and back.
  reducing = 2 * 4000 * 0.75 / 100e9 + 4e-6
  assert plan.all_reduce_seconds == pytest.approx(reducing)
  total = 3500 / 1.5e9 + moving + reducing
  assert plan.step_seconds == pytest.approx(total)
  assert plan.images_per_second == pytest.approx(64 / total)
  # The compiler counts the body of a loop once.
  once = total - 19 * 100 / 1.5e9
  assert plan.peak_share == pytest.approx(1e6 / once / 197e12)
  assert (plan.not_estimated, plan.all_reduces) == (1, 1)
  assert plan.limit == 'memory'


def test_one_chip_needs_no_all_reduce():
  plan = estimate(compiled(), chips.parse('v5e:1x1'), batch_size=16)
  assert plan.all_reduce_seconds == 0


def test_operations_are_grouped():
  conv, scatter, *_ = operations(PROGRAM)
  group = by_stage(['Conv2d_1a_3x3', 'Mixed_2b'])
  assert group(conv) == 'Mixed_2b backward'
  assert group(scatter) == 'Conv2d_1a_3x3 forward'
  assert by_kind(scatter) == 'pooling forward'


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('v9:2x2', 'v9'),
    ('v5e', 'try v5e:2x2'),
    ('v5e:2x2x1', 'v5e has 2 axes; try v5e:2x2'),
    ('v5p:2x2', 'try v5p:2x2x1'),
    ('v5e:0x2', 'try v5e:2x2'),
  ],
)
def test_wrong_topologies_are_refused_with_a_suggestion(name, message):
  with pytest.raises(UserError, match=message):
    chips.parse(name)


def compile_nothing(monkeypatch, figures_of):
  """Makes plans from given figures; returns the batch sizes that are tried."""
  tried = []

  def make(config, topology, what, num_examples):
    del num_examples
    tried.append(config.batch_size)
    figures = figures_of(config.batch_size)
    return Plan(config, topology, what, None, figures, 1, 1.0)

  monkeypatch.setattr('inception.planning.plan.make_plan', make)
  return tried


@pytest.mark.parametrize('largest', [1, 5, 8, 37])
def test_the_largest_batch_is_found(config, largest, monkeypatch):
  """To a multiple of 8 images per chip, in few tries."""
  topology = chips.parse('v5e:2x2')

  def figures(size):
    fits = size <= largest * 8 * topology.size
    return Estimate(size, fits, None, 1, 1.0)

  tried = compile_nothing(monkeypatch, figures)
  plan = largest_batch(config, topology, 'train', 100)
  assert plan.estimate.batch_size == largest * 32
  assert len(tried) <= 12


def test_the_largest_batch_is_guessed_from_memory(config, monkeypatch):
  topology = chips.parse('v5e:1x1')
  memory = topology.chip.memory

  def figures(size):
    peak = 2**30 + 2**26 * size
    return Estimate(size, peak <= memory, peak, memory, 1.0)

  tried = compile_nothing(monkeypatch, figures)
  plan = largest_batch(config, topology, 'train', 100)
  assert tried == [8, 16, 232, 240]  # 236 would fit.
  assert plan.estimate.batch_size == 232
  config.accumulation_steps = 32
  plan = largest_batch(config, topology, 'train', 100)
  assert plan.estimate.batch_size == 224


def test_nothing_fits(config, monkeypatch):
  compile_nothing(monkeypatch, lambda size: Estimate(size, False, None, 1, 1.0))
  with pytest.raises(UserError, match='8 images do not fit .*; use a smaller'):
    largest_batch(config, chips.parse('v5e:1x1'), 'train', 100)


def test_figures_are_called_estimates(config):
  config.model.architecture = tiny.get_config().model.architecture
  topology = chips.parse('v5e:2x2')
  figures = estimate(compiled(), topology, batch_size=64)
  plan = Plan(config, topology, 'train', PROGRAM, figures, 100, 10.0)
  text = report.describe(plan)
  assert "the compiler's estimates, not measurements" in text
  assert 'not measurements' in report.as_row(plan)['estimated_by']
  assert plan.hours == pytest.approx(10 * plan.hours_per_epoch)


def test_topologies_are_compared(config, tmp_path):
  def plan(name, batch_size):
    topology = chips.parse(name)
    figures = estimate(compiled(), topology, batch_size)
    return Plan(config, topology, 'train', PROGRAM, figures, 100, 10.0)

  one, four = plan('v5e:1x1', 16), plan('v5e:2x2', 64)
  efficiency = one.estimate.step_seconds / four.estimate.step_seconds
  reducing = four.estimate.all_reduce_seconds / four.estimate.step_seconds
  lines = [line.split() for line in report.compare([one, four]).splitlines()]
  assert lines[1][0] == 'v5e:1x1' and lines[1][3:] == ['0.0%', '100.0%']
  assert lines[2][3:] == [f'{reducing:.1%}', f'{efficiency:.1%}']
  drawing.draw_scale([one, four], tmp_path / 'scale.png')
  assert (tmp_path / 'scale.png').read_bytes().startswith(b'\x89PNG')
  with pytest.raises(UserError, match='cannot write'):
    drawing.draw_scale([one, four], tmp_path / 'missing' / 'scale.png')


def command(*arguments):
  return subprocess.run(
    [warm.python(), '-m', 'inception.planning', *arguments],
    capture_output=True,
    text=True,
  )


@pytest.mark.skipif(
  importlib.util.find_spec('jax_cuda12_plugin') is not None,
  reason='it is installed',
)
def test_a_missing_compiler_is_reported():
  with pytest.raises(UserError, match=r"pip install 'jax\[cuda12\]'"):
    devices.describe(chips.parse('h100'))


# These need libtpu, the compiler; `make test-all` installs it.


@pytest.mark.slow
def test_a_run_is_planned_for_chips_that_are_not_attached(tmp_path):
  chart, table = tmp_path / 'plan.png', tmp_path / 'plan.csv'
  done = command(
    '--config=tests/tiny.py',
    '--topology=v5e:2x2',
    '--by=stage',
    f'--chart={chart}',
    f'--csv={table}',
    '--json',
  )
  assert done.returncode == 0, done.stderr
  result = json.loads(done.stdout.splitlines()[-1])
  [plan] = result['plans']
  assert plan['fits'] and plan['cycles'] > 0
  assert plan['chips'] == 4 and plan['all_reduces'] > 0
  assert 'Mixed_2b backward' in result['seconds_by_stage']
  parts = sum(result['seconds_by_stage'].values())
  assert parts == pytest.approx(plan['step_seconds'])
  assert chart.read_bytes().startswith(b'\x89PNG')
  assert len(table.read_text().splitlines()) == 2


@pytest.mark.slow
def test_parts_of_a_batch_are_counted():
  """In the loop over them, as the TPU compiler writes it."""

  def step(kernel, parts):
    return lax.scan(lambda x, part: (x @ kernel + part, None), kernel, parts)[0]

  program = DeviceProgram(step, split=(False, True), donated=())
  shapes = [
    jax.ShapeDtypeStruct(shape, jnp.float32)
    for shape in ((256, 256), (1, 12, 256, 256))
  ]
  described = devices.describe(chips.parse('v5e:1x1'))
  done = compile_for(program, shapes, described)
  assert max(op.times for op in operations(done.text)) == 12


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_reported():
  done = command(
    '--config=tests/tiny.py',
    '--what=eval',
    '--topology=v5e:1x1',
    '--config.data.image_size=2048',
    '--batch_size=8192',
  )
  assert done.returncode == 0, done.stderr
  assert 'does not fit' in done.stdout


def test_a_batch_that_cannot_be_split_is_refused():
  done = command('--config=tests/tiny.py', '--batch_size=6')
  assert done.returncode == 2
  assert '--batch_size=4' in done.stderr
  assert len(done.stderr.splitlines()) == 1
