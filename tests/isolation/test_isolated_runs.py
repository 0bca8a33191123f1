import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event as Flag

import pytest

from graphengine.engine import Engine
from graphengine.errors import NodeExecutionError, RunCancelled, ValidationFailed
from graphengine.execution.events import Event, NodeFailed, NodeProgress
from graphengine.execution.policy import RunOptions
from graphengine.node.comfy_classes import define
from graphengine.settings import load_settings
from tests.isolation.conftest import NODE, Isolated, document, is_running
from tests.workflows import workflow

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are tried on Linux")


def shown(engine: Engine, class_type: str, **inputs: object) -> object:
    return engine.run(workflow(document(class_type, **inputs))).ui[NODE]["text"]


def failure(engine: Engine, class_type: str, **inputs: object) -> NodeExecutionError:
    with pytest.raises(NodeExecutionError) as failed:
        shown(engine, class_type, **inputs)
    assert failed.value.node_id == "1"
    assert failed.value.class_type == class_type
    return failed.value


def test_nodes_run_in_a_process_of_their_own(project: Isolated) -> None:
    before = set(sys.modules)
    with project.engine() as engine:
        assert shown(engine, "Double", value=21) == ["42"]
        assert shown(engine, "Pid", value=1) == [str(project.imported_in())]
    assert project.imported_in() != os.getpid()
    assert not any("trial" in name for name in set(sys.modules) - before)


@pytest.mark.parametrize(
    ("class_type", "told"),
    [
        ("Segfault", "the process of pack 'trial' was ended by SIGSEGV"),
        ("Exit", "the process of pack 'trial' ended by itself with exit code 7"),
        ("SystemExits", "SystemExit: 7"),
        ("Raise", "LookupError: nothing for 1"),
        ("MakesModel", "output 1 (MODEL) holds an object of type object, which cannot leave its process"),
    ],
)
def test_what_happens_to_a_worker_is_an_error_of_the_node(project: Isolated, class_type: str, told: str) -> None:
    with project.engine() as engine:
        assert told in failure(engine, class_type, value=1).message
        assert shown(engine, "Double", value=4) == ["8"]


def test_a_crash_tells_where_it_was(project: Isolated) -> None:
    with project.engine() as engine:
        assert "string_at" in str(failure(engine, "Segfault", value=1).hint)


def test_a_node_that_hangs_is_ended_when_its_time_is_over(project: Isolated) -> None:
    project.write("timeout = 0.5")
    with project.engine() as engine:
        error = failure(engine, "Hang", value=1)
        assert "it took longer than 0.5 s in the process of pack 'trial'" in error.message
        assert not is_running(project.imported_in())
        assert shown(engine, "Double", value=4) == ["8"]


def test_a_node_that_eats_memory_is_refused_more(project: Isolated) -> None:
    project.write('memory = "1GB"')
    with project.engine() as engine:
        assert "MemoryError" in failure(engine, "Eat", value=3000).message
        assert shown(engine, "Eat", value=1) == ["1000000"]


def test_the_traceback_of_the_worker_is_told(project: Isolated) -> None:
    events: list[Event] = []
    with project.engine() as engine, pytest.raises(NodeExecutionError):
        engine.run(workflow(document("Raise", value=3)), on_event=events.append)
    (failed,) = (event for event in events if isinstance(event, NodeFailed))
    assert failed.exception_type == "LookupError"
    assert any('raise LookupError(f"nothing for {value}")' in line for line in failed.traceback)


def test_progress_arrives_in_order(project: Isolated) -> None:
    events: list[Event] = []
    with project.engine() as engine:
        engine.run(workflow(document("Progress", value=3)), on_event=events.append)
    steps = [(event.value, event.total) for event in events if isinstance(event, NodeProgress)]
    assert steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_is_cancelled_stops_the_node_and_keeps_the_worker(project: Isolated, jobs: int) -> None:
    stop = Flag()
    with project.engine() as engine:
        with pytest.raises(RunCancelled):
            engine.run(
                workflow(document("Patient", value=3)),
                on_event=lambda event: stop.set() if isinstance(event, NodeProgress) else None,
                is_cancelled=stop.is_set,
                options=RunOptions(jobs=jobs),
            )
        before = project.imported_in()
        assert shown(engine, "Pid", value=1) == [str(before)]


@pytest.mark.parametrize("class_type", ["Hang", "HoldsLock"])
def test_a_node_that_does_not_listen_is_ended_when_the_run_is_cancelled(
    project: Isolated, class_type: str
) -> None:
    with project.engine() as engine:
        with pytest.raises(RunCancelled):
            engine.run(workflow(document(class_type, value=3)), is_cancelled=(project.pack / "hangs").exists)
        assert not is_running(project.imported_in())


def test_a_node_that_takes_longer_than_the_run_allows_is_ended(project: Isolated) -> None:
    with project.engine() as engine:
        with pytest.raises(NodeExecutionError, match="longer than"):
            engine.run(workflow(document("Hang", value=3)), options=RunOptions(node_timeout=1.5))
        assert shown(engine, "Double", value=3) == ["6"]


def test_a_node_keeps_its_object(project: Isolated) -> None:
    with project.engine() as engine:
        assert [shown(engine, "Counter", value=1) for _ in range(3)] == [["1"], ["2"], ["3"]]


def test_what_a_node_says_of_its_inputs_is_asked_in_the_worker(project: Isolated) -> None:
    with project.engine() as engine:
        assert shown(engine, "Checked", value=3) == ["3"]
        with pytest.raises(ValidationFailed) as failed:
            shown(engine, "Checked", value=30)
    assert [(p.code, p.message) for p in failed.value.problems] == [("refused_by_node", "30 is too much")]


def test_lazy_inputs_lists_coroutines_and_hidden_values_are_as_elsewhere(project: Isolated) -> None:
    lazy: dict[str, tuple[str, dict[str, object]]] = {
        "1": ("Double", {"value": 1}),
        "2": ("Lazy", {"first": True, "a": ["1", 0], "b": ["3", 0]}),
        "3": ("Raise", {"value": 1}),
        "4": ("PreviewAny", {"source": ["2", 0]}),
    }
    with project.engine() as engine:
        (told,) = engine.run(workflow(lazy)).ui.values()
        assert told["text"] == ["2"]
        assert shown(engine, "Lists", value=3) == ["3", "4"]
        assert shown(engine, "Async", value=3) == ["4"]
        assert shown(engine, "Hidden", value=3) == ["1 Hidden ['1', '2'] 1 cpu"]


def test_an_input_that_cannot_be_sent_is_named(project: Isolated) -> None:
    both: dict[str, tuple[str, dict[str, object]]] = {
        "2": ("PreviewAny", {"source": ["4", 0]}),
        "3": ("GiveObject", {}),
        "4": ("Double", {"value": ["3", 0]}),
    }

    class GiveObject:
        RETURN_TYPES, FUNCTION = ("INT",), "run"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, object]:
            return {"required": {}}

        def run(self) -> tuple[object]:
            return (object(),)

    with project.engine() as engine:
        engine.registry.add(define("GiveObject", GiveObject))
        with pytest.raises(NodeExecutionError) as failed:
            engine.run(workflow(both))
    assert "input 'value' (INT) holds an object of type object, which cannot leave its process" in str(
        failed.value
    )
    assert "without isolation" in str(failed.value.hint)


def test_a_cached_run_starts_no_worker(project: Isolated) -> None:
    with project.engine() as engine:
        assert shown(engine, "Double", value=5) == ["10"]
    (project.pack / "imported").unlink()
    with project.engine() as engine:
        assert engine.run(workflow(document("Double", value=5))).executed == {}
        assert engine.validate(workflow(document("Double", value=5))) == []
    assert not (project.pack / "imported").exists()


def test_code_that_changed_is_read_anew(project: Isolated) -> None:
    with project.engine() as engine:
        assert shown(engine, "Double", value=5) == ["10"]
    (project.pack / "helper.py").write_text("FACTOR = 3\n")
    with project.engine() as engine:
        assert shown(engine, "Double", value=5) == ["15"]


def test_without_its_environment_a_pack_is_refused_with_the_command(project: Isolated) -> None:
    (project.pack / "requirements.txt").write_text("another-thing\n")
    with project.engine() as engine, pytest.raises(ValidationFailed) as failed:
        shown(engine, "Double", value=5)
    told = failed.value.problems[0]
    assert told.message == "pack 'trial' requires other packages than when its environment was made"
    assert told.hint == "make it anew: graphengine nodes isolate trial"


def test_a_pack_that_is_not_trusted_starts_no_worker(project: Isolated) -> None:
    settings = load_settings(
        base_dir=project.root, device="cpu", environ={"GRAPHENGINE_CACHE": str(project.root / "c")}
    )
    with Engine.from_settings(settings) as engine, pytest.raises(ValidationFailed) as failed:
        shown(engine, "Double", value=5)
    assert "untrusted_pack" in [problem.code for problem in failed.value.problems]
    assert not (project.pack / "imported").exists()


@pytest.mark.parametrize("class_type", ["Hang", "HoldsLock", "Double"])
def test_a_worker_ends_when_the_engine_is_killed(project: Isolated, tmp_path: Path, class_type: str) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.isolation.conftest import Isolated, document;"
        "from tests.workflows import workflow; import time;"
        "engine = Isolated(Path(sys.argv[1])).engine(); engine.run(workflow(document(sys.argv[2], value=1)));"
        "print('ready', flush=True); time.sleep(600)"
    )
    root = Path(__file__).parent.parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), class_type],
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'nodes'}"},
        stdout=subprocess.PIPE,
    )
    mark = project.pack / ("imported" if class_type == "Double" else "hangs")
    if class_type != "Double":
        while not (mark.exists() and mark.read_text()):
            assert process.poll() is None
    else:
        assert process.stdout is not None
        process.stdout.readline()
    worker = int(mark.read_text())
    assert is_running(worker)
    ended = os.pidfd_open(worker)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert select.select([ended], [], [], 30)[0], "the worker goes on"
    os.close(ended)
