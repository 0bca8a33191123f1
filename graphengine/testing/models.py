"""Real models for tests, from the shipped tiny checkpoint, and what nodes make of them.

A fake model would show that a node calls something. These sample, encode and decode on a CPU in a second, so a
node that patches, samples or encodes shows whether it works.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from graphengine.engine import Engine
from graphengine.errors import GraphEngineError
from graphengine.node.inputs import InputSpec
from graphengine.node.types import type_members
from graphengine.testing import fakes
from graphengine.testing.calling import NodeRunner

CHECKPOINT = "graphengine_tiny.safetensors"

#: Types that built-in nodes make: class, inputs that are not its defaults, and the number of the output.
_MADE: Mapping[str, tuple[str, Mapping[str, Any], int]] = MappingProxyType(
    {
        "MODEL": ("CheckpointLoaderSimple", {"ckpt_name": CHECKPOINT}, 0),
        "CLIP": ("CheckpointLoaderSimple", {"ckpt_name": CHECKPOINT}, 1),
        "VAE": ("CheckpointLoaderSimple", {"ckpt_name": CHECKPOINT}, 2),
        "CONDITIONING": ("CLIPTextEncode", {"text": "a red apple"}, 0),
        "SAMPLER": ("KSamplerSelect", {"sampler_name": "euler"}, 0),
        "NOISE": ("RandomNoise", {}, 0),
        "GUIDER": ("BasicGuider", {}, 0),
        "VIDEO": ("CreateVideo", {"fps": 4.0}, 0),
        "LATENT_OPERATION": ("LatentOperationTonemapReinhard", {}, 0),
    }
)

# Any: values are of all types.
_FAKED: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {
        "IMAGE": fakes.image,
        "MASK": fakes.mask,
        "LATENT": fakes.latent,
        "AUDIO": fakes.audio,
        "SIGMAS": fakes.sigmas,
        "INT": lambda: 1,
        "FLOAT": lambda: 1.0,
        "STRING": lambda: "text",
        "BOOLEAN": lambda: True,
    }
)


class NoValue(GraphEngineError):
    """There is nothing to give for an input of a type."""


@dataclass(frozen=True, slots=True)
class Values:
    """Gives a value of a socket type; what is loaded or encoded is kept and shared."""

    engine: Engine
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    def of_type(self, type_: str) -> Any:
        """A value of a type, of the first member of a union that there is something for, of "*" a number.

        Raises:
            NoValue: there is none.
        """
        for member in (type_, *sorted(type_members(type_))):
            if member in _FAKED:
                return _FAKED[member]()
            if member in _MADE:
                return self._made(member)
            if member == "*":
                return 1
        raise NoValue(f"there is no value of type {type_} to test with", hint="give one in a test of your own")

    def of_input(self, spec: InputSpec) -> Any:
        """A value for an input.

        Raises:
            NoValue: there is none of its type.
        """
        try:
            return self.of_type(spec.link_type)
        except NoValue as error:
            raise NoValue(f"input {spec.name!r}: {error.message}", hint=error.hint) from error

    def at(self, engine: Engine) -> "Values":
        """The same values, made on another engine."""
        return replace(self, engine=engine)

    def _made(self, type_: str) -> Any:
        if type_ in self._kept:
            return self._kept[type_]
        class_type, inputs, _ = _MADE[type_]
        if class_type not in self.engine.registry:
            raise NoValue(f"type {type_} is made by {class_type!r}, which no installed pack has")
        outputs = NodeRunner(self.engine, self.of_input)(class_type, **inputs)
        for other, (maker, _, number) in _MADE.items():
            if maker == class_type:
                self._kept[other] = outputs[number]
        return self._kept[type_]
