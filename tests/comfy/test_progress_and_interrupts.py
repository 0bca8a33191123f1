import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from PIL import Image

from graphengine.node.api import GraphEngineError, NodeContext, Preview, RunCancelled
from graphengine_comfy._v3.extension import ComfyAPISync
from graphengine_comfy.comfy import model_management, utils
from graphengine_comfy.comfy.utils import ProgressBar

Called = Callable[[NodeContext], AbstractContextManager[None]]


def test_progress_is_counted_up_or_set_and_never_over_the_total(called: Called) -> None:
    steps: list[tuple[int, int]] = []
    with called(NodeContext(on_progress=lambda value, total: steps.append((value, total)))):
        bar = ProgressBar(10)
        bar.update(3)
        bar.update(4)
        bar.update_absolute(9, 12)
        bar.update_absolute(99)
    assert steps == [(3, 10), (7, 10), (9, 12), (12, 12)]


@pytest.mark.parametrize(("name", "format"), [("JPEG", "jpeg"), ("PNG", "png"), ("TIFF", "jpeg")])
def test_a_preview_comes_with_the_progress(called: Called, name: str, format: str) -> None:
    previews: list[Preview] = []
    picture = Image.new("RGB", (4, 2))
    with called(NodeContext(on_preview=previews.append)):
        ProgressBar(2).update_absolute(1, preview=(name, picture, 128))
    assert [(p.image, p.format, p.max_size) for p in previews] == [(picture, format, 128)]


def test_threads_of_a_node_report_for_it(called: Called) -> None:
    steps: list[int] = []
    with called(NodeContext(on_progress=lambda value, total: steps.append(value))):
        worker = threading.Thread(target=ProgressBar(5).update, args=(2,))
        worker.start()
        worker.join()
    assert steps == [2]


def test_progress_outside_of_a_node_is_told_to_nobody() -> None:
    bar = ProgressBar(5)
    bar.update(2)
    assert bar.current == 2


def test_progress_of_a_run_that_is_asked_to_stop_raises(called: Called) -> None:
    with (
        called(NodeContext(is_cancelled=lambda: True)),
        pytest.raises(model_management.InterruptProcessingException),
    ):
        ProgressBar(5).update(1)


def test_an_interrupt_is_what_the_engine_takes_for_a_cancelled_run(called: Called) -> None:
    assert model_management.InterruptProcessingException is RunCancelled
    with called(NodeContext(is_cancelled=lambda: True)):
        assert model_management.processing_interrupted()
        with pytest.raises(RunCancelled):
            model_management.throw_exception_if_processing_interrupted()
    assert not model_management.processing_interrupted()
    model_management.throw_exception_if_processing_interrupted()


def test_a_node_can_end_its_run(called: Called, caplog: pytest.LogCaptureFixture) -> None:
    with called(NodeContext()):
        model_management.interrupt_current_processing(False)
        with pytest.raises(RunCancelled, match="a node ended the run"):
            model_management.interrupt_current_processing()
    model_management.interrupt_current_processing()
    assert "from outside of a node call" in caplog.text


def test_the_device_is_that_of_the_run(called: Called) -> None:
    with called(NodeContext(choose_device=lambda: "meta")):
        assert model_management.get_torch_device() == torch.device("meta")
    assert model_management.intermediate_device() == torch.device("cpu")


def test_out_of_memory_is_torchs_own_exception() -> None:
    assert model_management.OOM_EXCEPTION is torch.OutOfMemoryError
    with pytest.raises(GraphEngineError, match="load_everything of ComfyUI is not in graphengine"):
        model_management.load_everything()


def test_packs_can_switch_progress_bars_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils, "PROGRESS_BAR_ENABLED", True)
    utils.set_progress_bar_enabled(False)
    assert not utils.PROGRESS_BAR_ENABLED


def test_schema_based_nodes_report_progress_too(called: Called) -> None:
    steps: list[tuple[int, int]] = []
    previews: list[Preview] = []
    report = NodeContext(on_progress=lambda value, total: steps.append((value, total)), on_preview=previews.append)
    with called(report):
        ComfyAPISync().execution.set_progress(1, 4, preview_image=Image.new("L", (2, 2)))
    ComfyAPISync().execution.set_progress(2, 4)
    assert (steps, [p.max_size for p in previews]) == ([(1, 4)], [512])


def test_pictures_are_scaled_as_the_scale_node_does() -> None:
    picture = torch.arange(8.0).reshape(1, 1, 2, 4)
    assert utils.common_upscale(picture, 2, 1, "area", "disabled").tolist() == [[[[2.5, 4.5]]]]
    assert utils.common_upscale(picture, 2, 2, "nearest-exact", "center").tolist() == [[[[1.0, 2.0], [5.0, 6.0]]]]
