"""The weights of a network: mapped from a file, cast on first use, shared by models that leave them as they are.

A `Component` casts the weights of its module when it is first used, one by one, and drops the mapped pages on the
way: a part of a checkpoint that a workflow never uses costs nothing, and no part is in memory twice. `patched`
gives a component with some weights changed (a LoRA, a merge). It has a module of its own, whose unchanged weights
are the very tensors of the first; a weight that only the patched one needs is never cast for the other.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphengine.node.api import ModelError, current_context
from graphengine.node.memory import DeviceMemory

from .checkpoint import Checkpoint
from .packing import Publish, can_pack, pack
from .stored_weights import StoredWeights, frozen

_RELEASE_EVERY = 64 * 2**20  # bytes cast between two releases of mapped pages

Change = Callable[[Tensor], Tensor]
"""A weight, float32 on the CPU and not to be written to → the changed weight, of the same shape."""


class Place(NamedTuple):
    """Where a tensor of the file went: to a parameter, or to one only in part.

    rows: which rows (of dimension 0) of the file's tensor the parameter is; None is all of them.
    """

    name: str
    rows: slice | None = None


class Component:
    """A network whose weights stay as the file has them until it is first used.

    dtype is what it computes in. stored, when given, is a dtype that weights are rounded to before. sources: which
    parameters the tensors of the file became, by their names there without the prefix of the part. packs: the
    network is called many times, so that its layers may order their weights for that (packing.py).

    A run that is cancelled stops between the blocks of the network. When memory is needed for other models, the
    weights are given back and cast again at the next use.
    """

    def __init__(
        self,
        module: nn.Module,
        checkpoint: Checkpoint,
        *,
        device: str,
        dtype: torch.dtype = torch.float32,
        stored: torch.dtype | None = None,
        sources: Mapping[str, Sequence[Place]] = MappingProxyType({}),
        packs: bool = False,
    ) -> None:
        self.device = device
        self.dtype = dtype
        self.sources = sources
        self._module = _interruptible(module)
        self._packs = packs and can_pack(device, dtype)
        context = current_context.get()
        self._memory = DeviceMemory() if context is None else context.memory
        mapped = {name: parameter.detach() for name, parameter in module.named_parameters()}
        first, cast = _first_names(module), self._memory.shared
        self._weights = StoredWeights(checkpoint, mapped, first, device, dtype, stored, cast)
        self._changes: Mapping[str, tuple[Change, ...]] = {}
        self._backend: str | None = None
        self._is_ready = False

    def ready(self) -> nn.Module:
        """The module with its weights on the device; the first call casts them, later ones cost nothing."""
        if self._is_ready:
            self._memory.touch(self)
        else:
            self._memory.reserve(self, self._missing())
        # Ordinary tensors even when the caller is in inference mode: the weights outlive the call.
        with self._weights.lock, torch.inference_mode(False), torch.no_grad():
            if not self._is_ready:
                self._cast()
                self._compile()
                self._is_ready = True
            return self._module

    def make_room(self) -> int:
        """Unload all other models; the number of bytes that are given back."""
        return self._memory.unload(keep=self)

    def unload(self) -> None:
        """Give the memory of the weights back; who computes with them now keeps them until the end of the call."""
        with self._weights.lock:
            if self._is_ready:
                module = _twin(self._module)
                for own, parent, name in self._named(module):
                    setattr(parent, own, frozen(self._weights.mapped[name]))
                self._module, self._is_ready = module, False

    def _missing(self) -> int:
        """How many bytes the cast of the weights takes that nobody has cast yet."""
        size, weights = self.dtype.itemsize, self._weights
        new = (name for name in weights.mapped if name in self._changes or not weights.is_cast(name))
        return sum(weights.mapped[name].numel() * size for name in new)

    def _named(self, module: nn.Module) -> list[tuple[str, nn.Module, str]]:
        """Each parameter: its name in its layer, the layer, and the name it is kept under."""
        return [
            (own, layer, self._weights.first_name[f"{prefix}.{own}" if prefix else own])
            for prefix, layer in module.named_modules()
            for own, _ in layer.named_parameters(recurse=False)
        ]

    def patched(self, changes: Mapping[str, Sequence[Change]]) -> Component:
        """This component with changed weights, by parameter name; what is not named is shared.

        Changes of a weight that has some already come after them. They are made when the component is first used.

        Raises:
            ModelError: there is no such parameter.
        """
        unknown = sorted(set(changes) - set(self._weights.mapped))
        if unknown:
            raise ModelError(f"the network has no weight {unknown[0]!r} to change")
        twin = self._like()
        together = {**self._changes}
        for name, more in changes.items():
            together[name] = (*together.get(name, ()), *more)
        twin._changes = together
        return twin

    def with_dtype(self, dtype: torch.dtype) -> Component:
        """This component computing in another dtype; it shares no weight that is cast."""
        twin = self._like()
        twin.dtype, twin._packs = dtype, self._packs and can_pack(self.device, dtype)
        twin._weights = replace(self._weights, dtype=dtype, lock=threading.Lock())
        return twin

    def compiled(self, backend: str) -> Component:
        """This component with its repeated blocks compiled by torch.compile, each when it first runs.

        Raises:
            ModelError: the module does not say which of its blocks are alike.
        """
        if not hasattr(self._module, "compile_repeated_blocks"):
            raise ModelError(f"a {type(self._module).__name__} cannot be compiled block by block")
        twin = self._like()
        twin._backend, twin._packs = backend, False
        return twin

    def _like(self) -> Component:
        """This component with a module of its own, which holds the same tensors."""
        twin = copy.copy(self)
        with self._weights.lock:
            twin._module = _twin(self._module)
        twin._is_ready = False
        return twin

    def _compile(self) -> None:
        if self._backend is not None:
            module: Any = self._module  # one of diffusers, which mypy sees as untyped
            module.compile_repeated_blocks(backend=self._backend)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter, by name."""
        return {name: tuple(weight.shape) for name, weight in self._weights.mapped.items()}

    @torch.no_grad()
    def weight(self, name: str) -> Tensor:
        """A parameter with its changes, float32 on the CPU; computed anew at each call.

        Raises:
            KeyError: there is no such parameter.
            ModelError: a change gave another shape.
        """
        weight = self._weights.original(name)
        for change in self._changes.get(name, ()):
            changed = change(weight)
            if changed.shape != weight.shape:
                raise ModelError(
                    f"a patch turns weight {name!r} of shape {list(weight.shape)} into {list(changed.shape)}",
                    hint="it was made for another kind or size of model",
                )
            weight = changed
        return weight

    @property
    def changed(self) -> frozenset[str]:
        """The names of the parameters that differ from the file."""
        return frozenset(self._changes)

    def _cast(self) -> None:
        unreleased = 0
        made: dict[str, nn.Parameter] = {}
        for own, layer, name in self._named(self._module):
            unreleased += self._weights.mapped[name].nbytes
            if name not in made:
                made[name] = self._parameter(name)
            setattr(layer, own, made[name])
            if unreleased > _RELEASE_EVERY:
                self._weights.checkpoint.release()
                unreleased = 0
        for layer in self._module.modules():
            for own, buffer in list(layer.named_buffers(recurse=False)):
                setattr(layer, own, buffer.to(self.device))
        self._weights.checkpoint.release()
        if self._packs:
            pack(self._module, self._publish)

    def _publish(self, name: str) -> Publish:
        """Told of a weight's packed form: who shares the weight shares that."""

        def publish(parameter: nn.Parameter) -> None:
            if name not in self._changes:
                self._weights.share(name, parameter)

        return publish

    def kept(self, name: str) -> Tensor:
        """A parameter as a file keeps it without loss, on the CPU.

        While nothing is changed or rounded, it is what the file has. Else all weights have the precision that the
        network works with.
        """
        weight = self.weight(name) if name in self._changes else self._weights.mapped[name]
        return weight.to(self.kept_dtype or weight.dtype)

    @property
    def kept_dtype(self) -> torch.dtype | None:
        """The dtype of `kept` weights; None when each has that of the file."""
        return self._weights.rounded or (self.dtype if self._changes else None)

    @property
    def checkpoint(self) -> Checkpoint:
        """The file that the weights came from."""
        return self._weights.checkpoint

    def _parameter(self, name: str) -> nn.Parameter:
        if name in self._changes:
            weight = self.weight(name)
            if self._weights.rounded is not None:
                weight = weight.to(self._weights.rounded)
            return frozen(weight.to(self.device, self.dtype))
        return self._weights.shared(name)


def _first_names(module: nn.Module) -> dict[str, str]:
    """Each name of a parameter → the first one that the same parameter has."""
    first: dict[int, str] = {}
    named = module.named_parameters(remove_duplicate=False)
    return {name: first.setdefault(id(parameter), name) for name, parameter in named}


def _twin(module: nn.Module) -> nn.Module:
    """A copy of the module that holds the same tensors."""
    tensors = [*module.parameters(), *module.buffers()]
    twin: nn.Module = copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    return twin


def plain_sources(names: Mapping[str, str]) -> dict[str, tuple[Place, ...]]:
    """The sources of a component whose file tensors are parameters as they are: name in the file → its place."""
    return {old: (Place(new),) for old, new in names.items()}


def _interruptible(module: nn.Module) -> nn.Module:
    """The module, whose blocks ask before each call whether the run was cancelled: a step may take minutes."""
    for layers in module.modules():
        if isinstance(layers, nn.ModuleList):
            for block in layers:
                if block is None:  # a place that a network leaves empty
                    continue
                block.register_forward_pre_hook(_stop_if_cancelled)
    return module


def _stop_if_cancelled(module: nn.Module, inputs: object) -> None:
    context = current_context.get()
    if context is not None:
        context.check_cancelled()
