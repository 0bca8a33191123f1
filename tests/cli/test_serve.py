"""`graphengine serve`: its options, what it refuses, and a process that is stopped, killed and begun again."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from graphengine.cli.serve import require_aiohttp, use_own_allocator, user_folder, with_values
from graphengine.errors import GraphEngineError, SettingsError
from tests.cli.conftest import CommandLine

ROOT = Path(__file__).parents[2]
PACK = """
import pathlib, time

class Append:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {}), "file": ("STRING", {})}}

    def run(self, value, file):
        with open(file, "a") as lines:
            lines.write(f"{value}\\n")
        return {"ui": {"value": [value]}, "result": (value,)}

class UntilThere:
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {}), "file": ("STRING", {})},
                "hidden": {"context": ("GRAPHENGINE_CONTEXT",)}}

    def run(self, value, file, context):
        pathlib.Path(f"{file}.waits").touch()
        while not pathlib.Path(file).exists():
            context.check_cancelled()
            time.sleep(0.005)
        return (value,)

NODE_CLASS_MAPPINGS = {"Append": Append, "UntilThere": UntilThere}
"""


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        (["serve", "--listen"], ["serve", "--listen", "0.0.0.0"]),
        (["serve", "--listen", "::1"], ["serve", "--listen", "::1"]),
        (["serve", "--enable-cors-header", "--cpu"], ["serve", "--enable-cors-header", "*", "--cpu"]),
        (
            ["--debug", "serve", "--listen", "--port", "1"],
            ["--debug", "serve", "--listen", "0.0.0.0", "--port", "1"],
        ),
        (["run", "--listen"], ["run", "--listen"]),
        ([], []),
    ],
)
def test_options_may_stand_without_a_value(given: list[str], filled: list[str]) -> None:
    assert with_values(given) == filled


@pytest.mark.parametrize("arguments", [["--listen"], ["--listen", "192.168.0.1"], ["--listen", "example.org"]])
def test_beyond_this_machine_a_token_is_needed(graphengine: CommandLine, arguments: list[str]) -> None:
    done = graphengine("serve", *arguments)
    assert done.code == 2
    assert "needs a token" in done.err
    assert "hint: give a token, or listen on 127.0.0.1" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cpu", "--device", "cuda"], "it contradicts --device"),
        (["--port", "70000"], "Invalid value for '--port'"),
        (["--preview-method", "all"], "Invalid value for '--preview-method'"),
        (["--cache-lru", "0"], "Invalid value for '--cache-lru'"),
        (["--extra-model-paths-config", "none.yaml"], "there is no file 'none.yaml'"),
        (["--token", " "], "the token is empty"),
        (["--user-directory", __file__], "is a file"),
    ],
)
def test_what_cannot_be_is_refused(graphengine: CommandLine, arguments: list[str], message: str) -> None:
    done = graphengine("serve", *arguments)
    assert done.code == 2
    assert message in done.err


def test_without_aiohttp_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphengine.cli.serve.find_spec", lambda name: None)
    with pytest.raises(GraphEngineError) as raised:
        require_aiohttp()
    assert raised.value.hint == "pip install 'graphengine-comfy[server]'"


def test_the_allocator_of_the_environment_is_replaced_and_its_other_options_stay() -> None:
    environ = {"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync,max_split_size_mb:64"}
    use_own_allocator(environ)
    assert environ == {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64,backend:native"}


def test_the_user_folder_lies_in_the_base_folder_unless_it_is_named(tmp_path: Path) -> None:
    assert user_folder(None, tmp_path) == tmp_path / "user"
    assert user_folder(tmp_path / "me", tmp_path) == tmp_path / "me"
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError):
        user_folder(tmp_path / "file", None)


class Serving:
    """A server process and requests to it."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process, self.port = process, port

    # Any: JSON.
    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data, timeout=30) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def serving(base: Path) -> Iterator[Serving]:
    """A server on a free port with the pack above."""
    pack = base / "custom_nodes" / "pack"
    pack.mkdir(parents=True, exist_ok=True)
    (pack / "__init__.py").write_text(PACK)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'nodes'}"}
    command = [sys.executable, "-m", "graphengine.cli", "serve", "--port", "0", "--cpu", "--base-dir", str(base)]
    with subprocess.Popen(
        [*command, "--cache", str(base / "cache"), "--trust", "pack"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+); Ctrl-C stops", process.stdout.readline())
            assert found
            yield Serving(process, int(found[1]))
        finally:
            process.kill()


def waiting(base: Path) -> dict[str, Any]:
    """A prompt that appends 1, waits for a file, and appends 2."""
    calls = str(base / "calls.txt")
    return {
        "1": {"class_type": "Append", "inputs": {"value": 1, "file": calls}},
        "2": {"class_type": "UntilThere", "inputs": {"value": ["1", 0], "file": str(base / "go")}},
        "3": {"class_type": "Append", "inputs": {"value": 2, "file": calls + ".2"}},
        "4": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_prompt_survives_the_end_of_its_server(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server:
        server.ask("/prompt", {"prompt": waiting(tmp_path), "prompt_id": "first"})
        server.ask("/prompt", {"prompt": waiting(tmp_path), "prompt_id": "second"})
        while not (tmp_path / "go.waits").exists():
            assert server.ask("/prompt")["exec_info"]["queue_remaining"] == 2
        assert server.end(number) == (-9 if number == signal.SIGKILL else 0)
    (tmp_path / "go").touch()
    with serving(tmp_path) as server:
        while server.ask("/prompt")["exec_info"]["queue_remaining"]:
            pass
        history = server.ask("/history")
        assert list(history) == ["first", "second"]
        assert all(entry["status"]["completed"] for entry in history.values())
        if number == signal.SIGINT:  # a killed process loses the last quarter of a second of what it would keep
            assert (tmp_path / "calls.txt").read_text() == "1\n"
        assert server.end(signal.SIGTERM) == 0
