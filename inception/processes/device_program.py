"""Programs that each device runs on its shard, as pmap or shard_map."""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

import jax
import numpy as np

from inception.processes.distributed import AXIS

_Spec = jax.sharding.PartitionSpec


@dataclasses.dataclass(frozen=True)
class Pmapped:
  """A pmap, compiled with options, which `jax.pmap` does not take.

  Attributes:
    mapped: The pmap.
    options: Of the compiler; if there are none, the pmap is called as it is.
  """

  mapped: Any
  options: dict[str, Any]
  _programs: dict[Any, Any] = dataclasses.field(default_factory=dict)

  def __call__(self, *arguments: Any) -> Any:
    """Runs the program, which is compiled once for arguments of some shapes."""
    if not self.options:
      return self.mapped(*arguments)
    leaves, structure = jax.tree.flatten(arguments)
    key = structure, tuple((x.shape, x.dtype) for x in leaves)
    if key not in self._programs:
      self._programs[key] = self.compile(*arguments)
    return self._programs[key](*arguments)

  def compile(self, *arguments: Any) -> Any:
    """Compiles the program for these arguments, or for their shapes."""
    return self.mapped.lower(*arguments).compile(self.options)


def pmap(
  function: Callable[..., Any], options: dict[str, Any], **how: Any
) -> Pmapped:
  """Returns `jax.pmap(function, **how)`, compiled with options."""
  return Pmapped(jax.pmap(function, **how), options)


@dataclasses.dataclass(frozen=True)
class DeviceProgram:
  """The computation of one device, with collectives over `AXIS`.

  Attributes:
    function: Maps the arrays of one device to results equal on all devices.
    split: For each argument, True if it is split over the devices: such arrays
      are [devices, ...] outside and [...] inside. Others are replicated.
    donated: Indices of the donated arguments.
    options: Of the compiler, for the pmap.
  """

  function: Callable[..., Any]
  split: tuple[bool, ...]
  donated: tuple[int, ...] = ()
  options: dict[str, Any] = dataclasses.field(default_factory=dict)

  def pmap(self, devices: Sequence[jax.Device]) -> Pmapped:
    """Returns the program as a pmap, which can span several processes."""
    return pmap(
      self.function,
      self.options,
      axis_name=AXIS,
      in_axes=tuple(0 if split else None for split in self.split),
      out_axes=None,
      devices=devices,
      donate_argnums=self.donated,
    )

  def shard_map(self, devices: Sequence[jax.Device]) -> Any:
    """Returns the program as a jitted shard_map, with the same results.

    Unlike a pmap, it can be compiled ahead of time, without the devices.
    """
    mesh = jax.sharding.Mesh(np.array(devices), (AXIS,))
    specs = tuple(_Spec(AXIS) if split else _Spec() for split in self.split)

    def function(*arguments: Any) -> Any:
      rows = (
        jax.tree.map(lambda x: x[0], argument) if split else argument
        for split, argument in zip(self.split, arguments)
      )
      return self.function(*rows)

    return jax.jit(
      jax.shard_map(
        function, mesh=mesh, in_specs=specs, out_specs=_Spec(), check_vma=False
      ),
      in_shardings=tuple(jax.NamedSharding(mesh, spec) for spec in specs),
      out_shardings=jax.NamedSharding(mesh, _Spec()),
      donate_argnums=self.donated,
    )
