from dataclasses import replace

import pytest
import torch
from torch import Tensor

from graphengine.errors import GraphEngineError
from graphengine_nodes.diffusion.model.model import NetworkCall, PlainNetwork, Residuals
from graphengine_nodes.diffusion.model.short_memory import answer

CALL = NetworkCall(
    x=torch.arange(6.0).reshape(6, 1, 1, 1),
    timestep=torch.arange(6.0),
    context=torch.arange(6.0).reshape(6, 1, 1),
    extra={"y": torch.arange(6.0).reshape(6, 1), "scale": torch.full((1, 1), 10.0)},
    control=Residuals(middle=(torch.arange(6.0).reshape(6, 1, 1, 1), None)),
    options={"cond_or_uncond": [0, 1], "sigmas": torch.arange(6.0)},
)


class Small:
    """A network that holds `room` samples, and notes what it could answer."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.answered: list[NetworkCall] = []

    def __call__(self, call: NetworkCall) -> Tensor:
        if len(call.x) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.answered.append(call)
        pushed = call.control.middle[0] if call.control else None
        assert pushed is not None
        parts = (call.timestep, call.context, call.extra["y"], call.options["sigmas"])
        for part in parts:
            pushed = pushed + part.reshape(-1, 1, 1, 1)
        return call.x * call.extra["scale"].reshape(-1, 1, 1, 1) + pushed


def nothing_to_unload() -> int:
    return 0


WHOLE = answer(PlainNetwork(Small(6)), CALL, nothing_to_unload)


@pytest.mark.parametrize(
    ("room", "sides"),
    [(6, [[0, 1]]), (5, [[0], [1]]), (3, [[0], [1]]), (2, [[0], [0], [1], [1]]), (1, [[0]] * 3 + [[1]] * 3)],
)
def test_what_does_not_fit_is_asked_in_parts_that_know_their_side(room: int, sides: list[list[int]]) -> None:
    small = Small(room)
    assert torch.equal(answer(PlainNetwork(small), CALL, nothing_to_unload), WHOLE)
    assert [call.options["cond_or_uncond"] for call in small.answered] == sides


def test_other_models_make_room_before_the_batch_is_split() -> None:
    small = Small(0)

    def make_room() -> int:
        small.room = 6
        return 1000

    assert torch.equal(answer(PlainNetwork(small), CALL, make_room), WHOLE)
    assert len(small.answered) == 1


def test_a_single_sample_that_does_not_fit_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(
        GraphEngineError, match="not enough memory to ask the model about one latent of 1x1"
    ) as error:
        answer(PlainNetwork(Small(0)), CALL, nothing_to_unload)
    assert "smaller picture" in str(error.value.hint)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def broken(call: NetworkCall) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        answer(PlainNetwork(broken), replace(CALL, control=None), nothing_to_unload)
