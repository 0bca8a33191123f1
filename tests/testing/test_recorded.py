"""`run --record`: what is written, and that the test which is written says whether the node has changed."""

import inspect
import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from graphengine.cache.encoding import decode
from graphengine.cache.store import MemoryStore
from graphengine.engine import Engine
from graphengine.errors import NodeExecutionError
from graphengine.node.api import ExecutionBlocker
from graphengine.testing.calling import NodeRunner
from graphengine.testing.engines import at_folders, temporary_engine
from graphengine.testing.golden import Golden, GoldenMismatch
from graphengine.testing.recorded import comparable, shown
from graphengine.testing.recorded_manifest import RecordingUnusable, read_manifest
from graphengine.testing.recorded_run import Recorder
from graphengine.testing.recorded_writing import Recorded
from graphengine.workflow.models import Link, NodeId, Workflow, WorkflowNode

ROOT = Path(__file__).parent.parent.parent
PACK = '''
import torch


class Trial:
    RETURN_TYPES, FUNCTION, CATEGORY = ("FLOAT",), "call", "trial"
    INPUTS = {}

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": cls.INPUTS}


class TrialScale(Trial):
    """An image times a number, and a text about it."""

    INPUTS = {"image": ("IMAGE",), "gain": ("FLOAT", {"max": 2.0})}
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("scaled image", "told")

    def call(self, image, gain):
        image *= 1  # in place, as careless nodes do
        return ((image * gain).clamp(0, 1), f"times {gain}")


class TrialImage(Trial):
    INPUTS = {"size": ("INT", {"default": 4}), "steps": ("INT", {"default": 255})}
    RETURN_TYPES = ("IMAGE",)

    def call(self, size, steps):
        return (torch.arange(size * size * 3).reshape(1, size, size, 3).float() / steps,)


class Loaded:
    def __init__(self, name):
        self.name = name


class TrialLoader(Trial):
    INPUTS = {"name": ("STRING", {"default": "a"}), "hf_token": ("STRING", {"default": ""})}
    RETURN_TYPES = ("MODEL",)

    def call(self, name, hf_token):
        return (Loaded(name),)


class TrialUse(Trial):
    INPUTS = {"model": ("MODEL",), "api_key": ("STRING", {"default": ""})}
    RETURN_TYPES = ("STRING", "MODEL")

    def call(self, model, api_key):
        return (f"{model.name} {api_key}", model)


class TrialSwitch(Trial):
    INPUTS = {
        "first": ("BOOLEAN", {"default": True}),
        "on_true": ("*", {"lazy": True}),
        "on_false": ("*", {"lazy": True}),
    }
    RETURN_TYPES = ("*",)

    def check_lazy_status(self, first, on_true=None, on_false=None):
        return ["on_true" if first else "on_false"]

    def call(self, first, on_true=None, on_false=None):
        return (on_true if first else on_false,)


class TrialSum(Trial):
    INPUTS = {"numbers": ("FLOAT", {"max": 1.0}), "more": ("*",)}
    INPUT_IS_LIST = True
    RETURN_TYPES = ("FLOAT", "FLOAT")
    OUTPUT_IS_LIST = (False, True)

    def call(self, numbers, more):
        return (float(sum(numbers)), [number * 2.0 for number in numbers])


class TrialNumbers(Trial):
    OUTPUT_IS_LIST = (True,)

    def call(self):
        return ([1.0, 2.0, 4.0],)


class TrialAdd(Trial):
    INPUTS = {"a": ("FLOAT", {"max": 3.0}), "note": ("STRING", {"multiline": True})}

    def call(self, a, note):
        return (a + 1.0,)


class TrialExpand(Trial):
    INPUTS = {"a": ("FLOAT", {})}

    def call(self, a):
        nodes = {"x": {"class_type": "TrialAdd", "inputs": {"a": a, "note": ""}}}
        return {"result": (["x", 0],), "expand": nodes}


class TrialShow(Trial):
    RETURN_TYPES, OUTPUT_NODE, INPUTS = (), True, {"value": ("*",)}

    def call(self, value):
        files = [{"filename": f"x_{id(self)}.png", "subfolder": "", "type": "output"}]
        return {"ui": {"text": [str(type(value).__name__)], "images": files}}


class TrialCareless(Trial):
    INPUTS = {"image": ("IMAGE",)}
    RETURN_TYPES = ("IMAGE",)

    async def call(self, image):
        image *= 0.0
        return (image,)


class TrialBlock(Trial):
    RETURN_TYPES = ("*",)

    def call(self):
        from graphengine.node.api import ExecutionBlocker

        return (ExecutionBlocker("nothing here"),)


NODE_CLASS_MAPPINGS = {
    name: value for name, value in list(globals().items()) if name.startswith("Trial") and name != "Trial"
}
'''

Record = Callable[..., Recorded]
Replay = Callable[..., None]
Pytest = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine with the trial nodes, in the pack that the tests are written for."""
    root = tmp_path_factory.mktemp("recorded")
    (root / "pack").mkdir()
    (root / "pack" / "__init__.py").write_text(PACK)
    return temporary_engine(root / "engine", root / "pack")


@pytest.fixture
def engine(shared: Engine) -> Engine:
    """The same with nothing remembered."""
    return replace(shared, store=MemoryStore(2**28))


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """The repository of the pack."""
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text(PACK)
    return tmp_path / "pack"


@pytest.fixture
def record(engine: Engine, pack: Path) -> Record:
    """Runs a workflow and records its node "n" into the pack."""

    def run(nodes: dict[str, tuple[str, dict[str, Any]]], limit: int = 10**6, goals: Any = ("n",)) -> Recorded:
        workflow = flow(nodes)
        recorder = Recorder.of(engine, workflow, [NodeId("n")], goals, limit)
        result = recorder.engine.run(workflow, targets=recorder.targets)
        return recorder.write(pack / "tests" / "recorded", "flow.json", result, "0.1.0")[0]

    return run


@pytest.fixture
def run_pytest(pack: Path, tmp_path: Path) -> Pytest:
    """Runs pytest in the pack's repository, in a process of its own, which takes seconds to start."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-p", "graphengine.testing.plugin", "-p", "no:cacheprovider"]
        environment = {
            "PYTHONPATH": f"{ROOT}:{ROOT / 'nodes'}",
            "PATH": "",
            "OMP_NUM_THREADS": "1",
            "HOME": str(tmp_path),
        }
        return subprocess.run(
            [*command, "-q", "-W", "error", *arguments],
            cwd=pack,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def replay(engine: Engine, tmp_path: Path) -> Replay:
    """Calls the test that was written, with what its fixtures give."""

    def run(recorded: Recorded, *, update: bool = False) -> None:
        own = at_folders(engine, tmp_path / "replayed")
        golden = Golden(recorded.test.parent / "golden" / recorded.test.stem, tmp_path / "failures", update)
        fixtures = {"graphengine": own, "run_node": NodeRunner(own), "golden": golden}
        functions = runpy.run_path(str(recorded.test))
        (test,) = (value for name, value in functions.items() if name.startswith("test_"))
        test(**{name: fixtures[name] for name in inspect.signature(test).parameters})

    return run


# Any: a node class is its author's.
def node_class(engine: Engine, name: str) -> type[Any]:
    """The class of a trial node."""
    load = engine.registry[name].load
    assert load is not None
    return load()


def flow(nodes: dict[str, tuple[str, dict[str, Any]]]) -> Workflow:
    """A workflow; an input `("a", 0)` is a link."""
    return Workflow(
        {
            NodeId(key): WorkflowNode(
                class_type,
                {
                    name: Link(NodeId(value[0]), value[1]) if isinstance(value, tuple) else value
                    for name, value in inputs.items()
                },
            )
            for key, (class_type, inputs) in nodes.items()
        }
    )


SCALED: dict[str, tuple[str, dict[str, Any]]] = {
    "i": ("TrialImage", {"size": 4, "steps": 255}),
    "n": ("TrialScale", {"image": ("i", 0), "gain": 0.5}),
}


def test_the_test_is_readable_and_complete(record: Record) -> None:
    recorded = record(SCALED)
    day = read_manifest(recorded.test.parent / "flow_trialscale_n").recorded
    assert (
        recorded.test.read_text()
        == f'''"""What node n (TrialScale) of flow.json gave on {day}.

Its values lie beside this file. If a new output is right: pytest --update-golden
"""

from graphengine.testing.recorded import Recording


def test_flow_trialscale_n_gives_what_was_recorded(graphengine, run_node, golden):
    recording = Recording.beside(__file__, "flow_trialscale_n", graphengine)
    outputs = run_node(
        "TrialScale",
        image=recording.input("image"),  # IMAGE, image.png
        gain=0.5,
    )
    golden(outputs["scaled image"], "scaled_image", psnr=40)
    golden(outputs["told"], "told")
'''
    )
    assert recorded.problems == ()
    files = sorted(path.relative_to(recorded.test.parent).as_posix() for path in recorded.test.parent.rglob("*.*"))
    assert files == [
        "flow_trialscale_n/image.png",
        "flow_trialscale_n/recording.json",
        "golden/test_recorded_flow_trialscale_n/scaled_image.png",
        "golden/test_recorded_flow_trialscale_n/told.safetensors",
        "test_recorded_flow_trialscale_n.py",
    ]
    assert recorded.files == 5
    assert recorded.bytes > sum((recorded.test.parent / file).stat().st_size for file in files) - 100


def test_recordings_of_all_kinds_of_inputs_replay_in_the_repository_of_the_pack(
    record: Record, run_pytest: Pytest
) -> None:
    record(SCALED)
    record({"i": ("TrialImage", {"size": 3, "steps": 200}), "n": ("TrialShow", {"value": ("i", 0)})})
    loader = {"l": ("TrialLoader", {"name": "b", "hf_token": ""})}
    record({**loader, "n": ("TrialUse", {"model": ("l", 0), "api_key": ""})})
    off = {
        "m": ("TrialNumbers", {}),
        "n": ("TrialSwitch", {"first": True, "on_true": ("m", 0), "on_false": ("m", 0)}),
    }
    record(off)
    record({"m": ("TrialNumbers", {}), "n": ("TrialSum", {"numbers": ("m", 0), "more": "x"})})
    record({"m": ("TrialNumbers", {}), "n": ("TrialAdd", {"a": ("m", 0), "note": "long " * 50})})
    record({"n": ("TrialExpand", {"a": 1.0})})
    record({"n": ("TrialBlock", {})})
    record({"b": ("TrialBlock", {}), "n": ("TrialImage", {"size": ("b", 0), "steps": 3})})
    done = run_pytest("tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout


def test_a_changed_output_fails_with_what_changed(
    record: Record, replay: Replay, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = record({"n": ("TrialAdd", {"a": 1.0, "note": ""})})
    replay(recorded)
    monkeypatch.setattr(node_class(engine, "TrialAdd"), "call", lambda self, a, note: (a + 2.0,))
    with pytest.raises(GoldenMismatch, match=r"value is 3.0, the golden one 2.0\n.*pytest --update-golden"):
        replay(recorded)
    replay(recorded, update=True)
    replay(recorded)


def test_a_changed_picture_fails_with_how_far_it_is_off(
    record: Record, replay: Replay, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = record(SCALED)
    replay(recorded)
    monkeypatch.setattr(
        node_class(engine, "TrialScale"), "call", lambda self, image, gain: (image * 0, "times 0.5")
    )
    with pytest.raises(GoldenMismatch, match=r"scaled_image.png: the pictures agree to .* dB, 40 are wanted"):
        replay(recorded)


def test_a_lazy_input_that_was_not_evaluated_is_no_value_to_work_with(
    record: Record, replay: Replay, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = {
        "m": ("TrialNumbers", {}),
        "n": ("TrialSwitch", {"first": True, "on_true": ("m", 0), "on_false": ("m", 0)}),
    }
    recorded = record(nodes)
    assert "on_false=NOT_EVALUATED,  # lazy, and the node did not ask for it" in recorded.test.read_text()
    replay(recorded)
    switch = node_class(engine, "TrialSwitch")
    monkeypatch.setattr(switch, "check_lazy_status", lambda self, first, **others: ["on_false"])
    monkeypatch.setattr(switch, "call", lambda self, first, on_false, on_true=None: (on_false + 1.0,))
    with pytest.raises(NodeExecutionError, match="unsupported operand"):
        replay(recorded)


def test_a_model_is_recorded_as_the_nodes_that_make_it(record: Record) -> None:
    nodes = {
        "other": ("TrialNumbers", {}),
        "l": ("TrialLoader", {"name": "b", "hf_token": ""}),
        "n": ("TrialUse", {"model": ("l", 0), "api_key": ""}),
    }
    recorded = record(nodes)
    recipe = json.loads((recorded.test.parent / "flow_trialuse_n" / "recipe.json").read_text())
    assert recipe == {"l": {"inputs": {"name": "b", "hf_token": ""}, "class_type": "TrialLoader"}}
    assert 'model=recording.input("model"),  # made again by node l (TrialLoader)' in recorded.test.read_text()
    assert [str(problem) for problem in recorded.problems] == [
        "node n (TrialUse): output 'MODEL' is not recorded: it holds an object of type Loaded"
    ]
    assert recorded.problems[0].severity == "warning"
    assert 'assert type(outputs["MODEL"]).__name__ == "Loaded"' in recorded.test.read_text()


def test_secrets_are_nowhere_in_a_recording(
    record: Record, replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-planted-0123456789"
    nodes = {
        "l": ("TrialLoader", {"name": "b", "hf_token": ""}),
        "n": ("TrialUse", {"model": ("l", 0), "api_key": secret}),
    }
    recorded = record(nodes)
    written = [path.read_bytes() for path in recorded.test.parent.rglob("*.*")]
    assert not [content for content in written if b"planted" in content]
    assert "output 'STRING' is not recorded: a secret of the workflow stands in it" in str(recorded.problems[0])
    with pytest.raises(pytest.skip.Exception, match="set GRAPHENGINE_RECORDED_API_KEY to run this"):
        replay(recorded)
    monkeypatch.setenv("GRAPHENGINE_RECORDED_API_KEY", "x")
    replay(recorded)


def test_a_recipe_that_needs_a_secret_is_not_written(record: Record) -> None:
    nodes = {
        "l": ("TrialLoader", {"name": "b", "hf_token": "hf_planted"}),
        "n": ("TrialUse", {"model": ("l", 0), "api_key": ""}),
    }
    recorded = record(nodes)
    errors = [problem for problem in recorded.problems if problem.severity == "error"]
    assert [problem.input_name for problem in errors] == ["model"]
    assert "node l, which takes part in it, needs a secret" in errors[0].message
    assert not [path for path in recorded.test.parent.rglob("*.*") if b"planted" in path.read_bytes()]


def test_a_value_over_the_limit_is_named_with_its_size_and_the_rest_is_recorded(
    record: Record, replay: Replay
) -> None:
    nodes = {**SCALED, "i": ("TrialImage", {"size": 100, "steps": 30000})}
    recorded = record(nodes, limit=50_000)
    assert [problem.message for problem in recorded.problems] == [
        "input 'image' is not recorded: it takes 120.2 kB, more than the limit of 50.0 kB",
        "output 'scaled image' is not recorded: it takes 120.2 kB, more than the limit of 50.0 kB",
    ]
    assert "gain=0.5," in recorded.test.read_text()
    assert 'golden(outputs["told"], "told")' in recorded.test.read_text()
    with pytest.raises(pytest.skip.Exception, match=r"input 'image' was not recorded: it takes 120.2 kB"):
        replay(recorded)


def test_a_test_that_was_edited_is_left_alone(record: Record) -> None:
    first = record(SCALED)
    assert record(SCALED).test == first.test
    assert record(SCALED).edited is None
    edited = first.test.read_text().replace("psnr=40", "psnr=30")
    first.test.write_text(edited)
    second = record(SCALED)
    assert second.test.name == "test_recorded_flow_trialscale_n_2.py"
    assert second.edited == first.test
    assert first.test.read_text() == edited
    assert 'Recording.beside(__file__, "flow_trialscale_n_2", graphengine)' in second.test.read_text()
    assert record(SCALED).test == second.test


def test_what_was_there_under_the_name_is_never_replaced(record: Record, pack: Path) -> None:
    folder = pack / "tests" / "recorded"
    folder.mkdir(parents=True)
    (folder / "test_recorded_flow_trialscale_n.py").write_text("# mine\n")
    (folder / "flow_trialscale_n_2").mkdir()
    assert record(SCALED).test.name == "test_recorded_flow_trialscale_n_3.py"
    assert (folder / "test_recorded_flow_trialscale_n.py").read_text() == "# mine\n"


def test_a_value_is_kept_as_it_was_before_the_node_changed_it(record: Record) -> None:
    nodes = {"i": ("TrialImage", {"size": 2, "steps": 100}), "n": ("TrialCareless", {"image": ("i", 0)})}
    recorded = record(nodes)
    [[kept]] = decode((recorded.test.parent / "flow_trialcareless_n" / "image.safetensors").read_bytes())
    assert isinstance(kept, torch.Tensor)
    assert torch.equal(kept, torch.arange(12).reshape(1, 2, 2, 3) / 100)


def test_a_cached_node_is_called_again_and_nodes_before_it_are_not(engine: Engine, pack: Path) -> None:
    workflow = flow({**SCALED, "s": ("TrialSum", {"numbers": 1.0, "more": ("n", 0)})})
    goals = [NodeId("s")]
    engine.run(workflow, targets=goals)
    recorder = Recorder.of(engine, workflow, [NodeId("n")], goals, 10**6)
    result = recorder.engine.run(workflow, targets=recorder.targets)
    assert set(result.executed) == {"n"}
    recorded = recorder.write(pack / "recorded", "flow.json", result, "0.1.0")[0]
    assert recorded.node_id == "n"


def test_of_two_equal_nodes_either_can_be_recorded(engine: Engine, pack: Path) -> None:
    same = ("TrialImage", {"size": 2, "steps": 255})
    workflow = flow({"a": same, "b": same})
    recorder = Recorder.of(engine, workflow, [NodeId("a"), NodeId("b")], [NodeId("a")], 10**6)
    result = recorder.engine.run(workflow, targets=recorder.targets)
    written = recorder.write(pack / "recorded", "flow.json", result, "0.1.0")
    assert [recorded.test.name for recorded in written] == [
        "test_recorded_flow_trialimage_a.py",
        "test_recorded_flow_trialimage_b.py",
    ]


def test_an_input_file_is_copied_and_put_in_place(engine: Engine, pack: Path, replay: Replay) -> None:
    from PIL import Image

    Image.new("RGB", (5, 4), (10, 20, 30)).save(engine.folders.input[0] / "pear.png")
    workflow = flow({"n": ("LoadImage", {"image": "pear.png"})})
    recorder = Recorder.of(engine, workflow, [NodeId("n")], ["n"], 10**6)  # type: ignore[list-item]  # an id is a text
    result = recorder.engine.run(workflow, targets=recorder.targets)
    recorded = recorder.write(pack / "tests", "flow.json", result, "0.1.0")[0]
    manifest = read_manifest(pack / "tests" / "flow_loadimage_n")
    assert [(file.kind, file.name, file.file) for file in manifest.files] == [("input", "pear.png", "file_0.png")]
    assert "    Recording.beside(__file__" in recorded.test.read_text()
    replay(recorded)


def test_a_model_file_that_is_not_here_skips_the_test_and_says_which(
    record: Record, replay: Replay, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = {
        "c": ("CheckpointLoaderSimple", {"ckpt_name": "graphengine_tiny.safetensors"}),
        "n": ("TrialShow", {"value": ("c", 2)}),
    }
    recorded = record(nodes)
    folder = recorded.test.parent / "flow_trialshow_n"
    for file in (folder / "recording.json", folder / "recipe.json"):
        file.write_text(file.read_text().replace("graphengine_tiny", "large"))
    with pytest.raises(
        pytest.skip.Exception, match=r"checkpoints/large.safetensors is not here; GRAPHENGINE_TEST_MODELS"
    ):
        replay(recorded)
    (tmp_path / "checkpoints").mkdir()
    tiny = engine.folders.path("checkpoints", "graphengine_tiny.safetensors")
    (tmp_path / "checkpoints" / "large.safetensors").symlink_to(tiny)
    monkeypatch.setenv("GRAPHENGINE_TEST_MODELS", str(tmp_path))
    replay(recorded)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "cannot be read"),
        ('{"format": 2}', "format"),
        ('{"files": [{"kind": "input", "name": "x", "file": "../../x"}]}', "file"),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "recording.json").write_text(content)
    with pytest.raises(RecordingUnusable, match=told):
        read_manifest(tmp_path)


def test_a_damaged_value_is_named(record: Record, replay: Replay) -> None:
    recorded = record({**SCALED, "i": ("TrialImage", {"size": 4, "steps": 77})})
    (recorded.test.parent / "flow_trialscale_n" / "image.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(RecordingUnusable, match=r"image.safetensors is damaged"):
        replay(recorded)


def test_parts_that_no_golden_file_holds_are_told_in_other_words() -> None:
    parts = comparable([ExecutionBlocker("no"), b"\x01\x02", {"a": torch.zeros(1)}])
    assert parts["value"] == "list of 3"
    assert parts["value[0]"] == "a blocker: no"
    assert parts["value[1]"].tolist() == [1, 2]
    assert parts["value[2]"] == "dict of ['a']"


def test_what_a_node_shows_is_compared_without_the_names_of_files() -> None:
    ui = {"images": [{"filename": "a_00007_.png", "subfolder": "", "type": "temp"}], "text": ("x",)}
    assert shown(ui) == {"images": [{"type": "temp", "suffix": ".png"}], "text": ["x"]}
