import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from graphengine.node.api import Folders, NodeContext, RunCancelled
from graphengine.node.registry import NodeRegistry
from graphengine.packs.stand_ins import Surroundings, put_in_place
from graphengine_comfy import _surroundings, node_helpers, nodes, server

Called = Callable[[NodeContext], AbstractContextManager[None]]


@pytest.fixture
def sent(flow: NodeRegistry, tmp_path: Path) -> Iterator[list[tuple[Any, ...]]]:
    """The messages that are sent; the stand-ins know the nodes of the test packs."""
    messages: list[tuple[Any, ...]] = []
    folders = Folders(output=tmp_path / "output", temp=tmp_path / "temp")
    finder = put_in_place()
    finder.connect(Surroundings(folders, flow, lambda *message: messages.append(message)))
    yield messages
    _surroundings.connect(Surroundings())


def test_the_nodes_of_the_engine_are_mapped(sent: object, flow: NodeRegistry) -> None:
    assert set(nodes.NODE_CLASS_MAPPINGS) == set(flow)
    assert len(nodes.NODE_CLASS_MAPPINGS) == len(nodes.NODE_DISPLAY_NAME_MAPPINGS) == len(flow)
    assert nodes.NODE_CLASS_MAPPINGS["FlowAdd"]().run(1, 2) == (3,)
    assert nodes.NODE_DISPLAY_NAME_MAPPINGS["FlowAdd"] == "Add (flow)"
    assert nodes.FlowAdd is nodes.NODE_CLASS_MAPPINGS["FlowAdd"]
    assert "Nothing" not in nodes.NODE_CLASS_MAPPINGS


def test_what_a_pack_maps_is_seen_by_packs_alone(sent: object, flow: NodeRegistry) -> None:
    class Own:
        pass

    nodes.NODE_CLASS_MAPPINGS["Own"] = Own
    nodes.NODE_DISPLAY_NAME_MAPPINGS["Own"] = "My own"
    assert (nodes.Own, nodes.NODE_DISPLAY_NAME_MAPPINGS["Own"]) == (Own, "My own")
    assert "Own" not in flow
    del nodes.NODE_CLASS_MAPPINGS["Own"], nodes.NODE_DISPLAY_NAME_MAPPINGS["Own"]
    with pytest.raises(AttributeError, match="no attribute 'Own'"):
        _ = nodes.Own


def test_packs_derive_from_the_save_node(sent: object, tmp_path: Path) -> None:
    class SaveTwice(nodes.SaveImage):
        def run(self, images: torch.Tensor) -> list[Any]:
            return [self.save_images(images, name, {"1": {}})["ui"]["images"][0] for name in ("a", "b")]

    assert SaveTwice().run(torch.zeros(1, 2, 3, 3)) == [
        {"filename": "a_00001_.png", "subfolder": "", "type": "output"},
        {"filename": "b_00001_.png", "subfolder": "", "type": "output"},
    ]
    with Image.open(tmp_path / "output" / "a_00001_.png") as image:
        assert (image.size, image.info["prompt"]) == ((3, 2), '{"1": {}}')


def test_the_preview_node_writes_to_the_temporary_folder(sent: object, tmp_path: Path) -> None:
    (shown,) = nodes.PreviewImage().save_images(torch.zeros(1, 2, 3, 3))["ui"]["images"]
    assert shown["type"] == "temp"
    assert (tmp_path / "temp" / shown["filename"]).is_file()
    assert list(nodes.PreviewImage.INPUT_TYPES()["required"]) == ["images"]


def test_a_node_can_end_its_run(called: Called) -> None:
    with called(NodeContext(is_cancelled=lambda: True)):
        for stop in (nodes.interrupt_processing, nodes.before_node_execution):
            with pytest.raises(RunCancelled):
                stop()


def test_messages_reach_who_watches(sent: list[tuple[Any, ...]]) -> None:
    instance = server.PromptServer.instance
    instance.send_sync("my.event", {"a": 1}, "client")
    asyncio.run(instance.send("other", [2]))
    instance.send_progress_text("half", "7")
    assert sent == [
        ("my.event", {"a": 1}, "client"),
        ("other", [2], None),
        ("progress_text", {"node": "7", "text": "half"}, None),
    ]


def test_routes_are_collected_however_they_are_added(tmp_path: Path) -> None:
    served = server.PromptServer()

    @served.routes.get("/one")
    async def one(request: Any) -> None:
        raise NotImplementedError

    served.app.add_routes([server.web.post("/two", one), server.web.static("/files", tmp_path)])
    served.app.router.add_get("/three", one)
    assert [(route.method, route.path, route.handler) for route in served.routes] == [
        ("GET", "/one", one),
        ("POST", "/two", one),
        ("STATIC", "/files", str(tmp_path)),
        ("GET", "/three", one),
    ]


def test_conditioning_is_changed_in_a_copy() -> None:
    before = [[torch.zeros(1), {"strength": 1, "hooks": [1]}]]
    after = node_helpers.conditioning_set_values(before, {"strength": 2})
    longer = node_helpers.conditioning_set_values(before, {"hooks": [2], "new": [3]}, append=True)
    assert [options for _, options in after] == [{"strength": 2, "hooks": [1]}]
    assert [options for _, options in longer] == [{"strength": 1, "hooks": [1, 2], "new": [3]}]
    assert before[0][1] == {"strength": 1, "hooks": [1]}


def test_a_picture_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "noise.png"
    Image.effect_noise((64, 64), 80).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with Image.open(path) as image, pytest.raises(OSError, match="truncated"):
        image.load()
    with Image.open(path) as image:
        assert node_helpers.pillow(lambda picture: picture.convert("RGB"), image).size == (64, 64)
