"""Asking a network when memory is short: other models go first, then the batch is asked in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from graphengine.node.api import GraphEngineError, ModelError
from graphengine_nodes.diffusion.weights.memory_limits import is_out_of_memory, release_memory
from graphengine_nodes.diffusion.weights.weights import Component

from .model import Extras, Job, Network, NetworkCall, Residuals


@dataclass(frozen=True, slots=True, eq=False)
class PatientNetwork:
    """A network (a `Network` too) that answers in parts when the whole does not fit into memory."""

    network: Network

    @property
    def family(self) -> str:
        """That of the network."""
        return self.network.family

    @property
    def component(self) -> Component:
        """The weights of the network."""
        return self.network.component

    def with_component(self, component: Component) -> Self:
        """The same with other weights."""
        return replace(self, network=self.network.with_component(component))

    def load(self) -> None:
        """Make the weights ready."""
        self.network.load()

    def extras(self, options: Mapping[str, Any], job: Job) -> Extras:
        """What the network makes of a conditioning's options."""
        return self.network.extras(options, job)

    def __call__(self, call: NetworkCall) -> Tensor:
        """The network's answer; see `answer`."""
        return answer(self.network, call, self._make_room)

    def _make_room(self) -> int:
        try:
            component = self.network.component
        except ModelError:  # nothing of this network is loaded, so nothing else is known to be
            return 0
        return component.make_room()


def answer(network: Network, call: NetworkCall, make_room: Callable[[], int]) -> Tensor:
    """What the network gives, shaped like call.x; of the batch in parts where the whole does not fit.

    make_room unloads other models and gives the number of bytes that were freed; it is asked first. The parts are
    the sides that share the batch ("cond_or_uncond"), then halves of them, down to one sample.

    Raises:
        GraphEngineError: memory does not suffice for a single sample.
    """
    parts, done, may_unload = [call], [], True
    while parts:
        part = parts.pop()
        made = _attempt(network, part)
        if made is not None:
            done.append(made)
            continue
        release_memory()
        if may_unload and make_room():
            parts.append(part)
        elif len(part.x) > 1:
            parts.extend(reversed(_halves(part)))
        else:
            size = "x".join(str(number) for number in part.x.shape[-2:])
            raise GraphEngineError(
                f"not enough memory to ask the model about one latent of {size}",
                hint="use a smaller picture, close other programs that use the device, or compute on the CPU",
            )
        may_unload = False
    return done[0] if len(done) == 1 else torch.cat(done)


def _attempt(network: Network, call: NetworkCall) -> Tensor | None:
    """The answer, or None when memory ran out; no traceback keeps the attempt's tensors alive then."""
    try:
        return network(call)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def _halves(call: NetworkCall) -> list[NetworkCall]:
    """The call as two: of several sides some each, of one side half of its samples each."""
    batch, sides = len(call.x), list(call.options.get("cond_or_uncond", [0]))
    if len(sides) > 1 and batch % len(sides) == 0:
        middle = len(sides) // 2
        cut = batch // len(sides) * middle
        return [_part(call, 0, cut, sides[:middle]), _part(call, cut, batch, sides[middle:])]
    return [_part(call, 0, batch // 2, sides), _part(call, batch // 2, batch, sides)]


def _part(call: NetworkCall, start: int, end: int, sides: list[Any]) -> NetworkCall:
    """The samples from start to end."""
    batch = len(call.x)

    def cut(value: Tensor) -> Tensor:
        return value[start:end] if len(value) == batch else value

    options = {**call.options, "cond_or_uncond": sides}
    if isinstance(options.get("sigmas"), Tensor):
        options["sigmas"] = cut(options["sigmas"])
    control = call.control
    if control is not None:
        control = Residuals(*(_each(cut, side) for side in (control.input, control.middle, control.output)))
    return replace(
        call,
        x=cut(call.x),
        timestep=cut(call.timestep),
        context=cut(call.context),
        extra={name: cut(value) for name, value in call.extra.items()},
        control=control,
        options=options,
    )


def _each(cut: Callable[[Tensor], Tensor], states: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    return tuple(None if state is None else cut(state) for state in states)
