"""A run that was killed goes on at the first node whose result is missing."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE = 60.0  # seconds
PACK = '''
import os, time

class Slow:
    """Takes SECONDS and writes down that it was called."""
    RETURN_TYPES, FUNCTION = ("INT",), "run"
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {})}}
    def run(self, value):
        with open("calls.txt", "a") as file:
            file.write(f"Slow {value}\\n")
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            pass
        return (value + 1,)

class Hang(Slow):
    """Says that it was called, and the first time never ends."""
    OUTPUT_NODE = True
    def run(self, value):
        with open("calls.txt", "a") as file:
            file.write(f"Hang {value}\\n")
        if os.path.exists("pipe"):
            with open("pipe", "w") as pipe:
                pipe.write("called")
            while True:
                time.sleep(1)
        return {"ui": {"value": [value]}, "result": (value,)}

NODE_CLASS_MAPPINGS = {"Slow": Slow, "Hang": Hang}
'''
DOCUMENT = {
    "1": {"class_type": "Slow", "inputs": {"value": 1}},
    "2": {"class_type": "Slow", "inputs": {"value": ["1", 0]}},
    "3": {"class_type": "Hang", "inputs": {"value": ["2", 0]}},
}


def command(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "graphengine.cli", "run", "flow.json", "--device", "cpu", "--trust", "slow"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GRAPHENGINE_CACHE": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("seconds", [0.05, 0.0], ids=["slow", "quick"])
def test_after_a_kill_finished_nodes_are_not_called_again(tmp_path: Path, seconds: float) -> None:
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "slow.py").write_text(PACK.replace("SECONDS", str(seconds)))
    (tmp_path / "flow.json").write_text(json.dumps(DOCUMENT))
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    first = command(tmp_path)
    assert select.select([pipe], [], [], PATIENCE)[0], "the last node was not called"
    os.close(pipe)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    (tmp_path / "pipe").unlink()
    second = command(tmp_path)
    out, _ = second.communicate()
    assert second.returncode == 0, out
    assert (tmp_path / "calls.txt").read_text().splitlines() == ["Slow 1", "Slow 2", "Hang 3", "Hang 3"]
