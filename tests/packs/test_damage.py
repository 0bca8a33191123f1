"""What packs change in the process when they are loaded."""

import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphengine.errors import PackError
from graphengine.packs.damage import take_state, undo
from graphengine.packs.discover import Pack
from graphengine.packs.load import load_pack
from graphengine.packs.stand_ins import put_in_place
from tests.packs.place import forget_packs

NONE = "\nNODE_CLASS_MAPPINGS = {}\n"


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    put_in_place(["graphengine_comfy"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    environ = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(environ)
    forget_packs()


def changes(tmp_path: Path, text: str) -> list[str]:
    """What is told of a pack with this text, without the words that all have."""
    (tmp_path / "changer.py").write_text(text + NONE)
    loaded = load_pack(Pack("changer", "graphengine_pack_changer", tmp_path / "changer.py"))
    assert {problem.code for problem in loaded.problems} <= {"pack_changed_process"}
    start, end = "pack 'changer' changed ", " (when it was loaded)"
    return [problem.message.removeprefix(start).removesuffix(end) for problem in loaded.problems]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import os; os.chdir('/')", "the working directory, to '/'; it was put back"),
        ("import io, sys; sys.stdout = io.StringIO()", "sys.stdout; it was put back"),
        ("import sys; sys.excepthook = print", "sys.excepthook; it was put back"),
        ("import sys; sys.setrecursionlimit(5000)", "the recursion limit, to 5000; it was put back"),
        (
            "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
            "the handler of SIGTERM; it was put back",
        ),
        ("import random; random.seed(4)", "the random numbers of `random`; it was put back"),
        ("import numpy; numpy.random.seed(4)", "the random numbers of numpy; it was put back"),
        ("import torch; torch.manual_seed(4)", "the random numbers of torch; it was put back"),
        (
            "import torch; torch.set_default_dtype(torch.float64)",
            "torch's default dtype; it was put back",
        ),
        ("import torch; torch.set_default_device('meta')", "torch's default device; it was put back"),
        ("import torch; torch.set_grad_enabled(False)", "torch's grad mode; it was put back"),
        ("import torch; torch.set_num_threads(7)", "torch's number of threads; it was put back"),
        ("import socket; socket.setdefaulttimeout(3)", "the default timeout of sockets; it was put back"),
        ("import logging; logging.disable(30)", "what logging.disable hides, to 30; it was put back"),
        (
            "import logging; logging.getLogger().setLevel(1)",
            "the level of the root logger; it was put back",
        ),
        (
            "import warnings; warnings.simplefilter('ignore')",
            "the filters of warnings: it ignores every Warning; it was put back",
        ),
        (
            "import sys; sys.modules['numpy'] = sys",
            "the module 'numpy' in sys.modules, which it replaced; it was put back",
        ),
        (
            "import sys; del sys.modules['torch']",
            "the module 'torch' in sys.modules, which it removed; it was put back",
        ),
        ("import os; os.environ['CHANGER'] = '1'", "os.environ: CHANGER"),
        ("import sys; sys.path.insert(0, '/nowhere')", "sys.path: it adds /nowhere"),
        ("import sys; sys.path.clear()", "sys.path: it removed"),
        ("import comfy.samplers as s; s.ksampler = lambda *a: 1", "comfy.samplers.ksampler for everybody"),
        (
            "import nodes\ndef save(self): pass\nnodes.SaveImage.save_images = save",
            "nodes.SaveImage.save_images for everybody",
        ),
        ("import sys; sys.modules['folder_paths'] = sys", "the module 'folder_paths' in sys.modules"),
    ],
)
def test_what_a_pack_changes_is_told(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samplers, nodes = import_module("comfy.samplers"), import_module("nodes")
    import_module("folder_paths")
    monkeypatch.setattr(samplers, "ksampler", samplers.ksampler)
    monkeypatch.setattr(nodes.SaveImage, "save_images", nodes.SaveImage.save_images)
    found = changes(tmp_path, text)
    assert [one for one in found if one.startswith(told)] != [], found


def numpy_numbers() -> bytes:
    state: Any = np.random.get_state()
    return bytes(state[1].tobytes())


def one_value_settings() -> tuple[object, ...]:
    term = signal.getsignal(signal.SIGTERM)
    return (Path.cwd(), sys.stdout, term, torch.get_default_dtype(), logging.root.level)


def test_settings_are_what_they_were(tmp_path: Path) -> None:
    before = (
        Path.cwd(),
        sys.stdout,
        signal.getsignal(signal.SIGTERM),
        torch.get_default_dtype(),
        logging.root.level,
    )
    numbers = torch.get_rng_state(), numpy_numbers(), random.getstate()
    filters = list(warnings.filters)
    changes(
        tmp_path,
        "import os, sys, signal, torch, logging, numpy, random, warnings, socket\nos.chdir('/')\n"
        "sys.stdout = None\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntorch.set_default_dtype(torch.float16)\n"
        "torch.set_default_device('meta')\ntorch.manual_seed(1)\nnumpy.random.seed(1)\nrandom.seed(1)\n"
        "logging.basicConfig(level=1, force=True)\nwarnings.filterwarnings('ignore')\n"
        "socket.setdefaulttimeout(1)\n",
    )
    after = (
        Path.cwd(),
        sys.stdout,
        signal.getsignal(signal.SIGTERM),
        torch.get_default_dtype(),
        logging.root.level,
    )
    assert after == before
    assert torch.get_rng_state().equal(numbers[0])
    assert numpy_numbers() == numbers[1]
    assert random.getstate() == numbers[2]
    assert list(warnings.filters) == filters
    assert (socket.getdefaulttimeout(), torch.empty(0).device.type) == (None, "cpu")


def test_a_pack_that_fails_leaves_no_damage(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text("import os\nos.chdir('/')\nraise ValueError('no')\n")
    before = Path.cwd()
    with pytest.raises(PackError, match=r"ValueError: no \(failing.py, line 3\)"):
        load_pack(Pack("failing", "graphengine_pack_failing", tmp_path / "failing.py"))
    assert Path.cwd() == before


def test_a_pack_that_keeps_to_itself_is_not_told_of(tmp_path: Path) -> None:
    assert changes(tmp_path, "import json, torch, folder_paths, nodes, comfy.utils\nx = torch.zeros(1)\n") == []


def test_modules_under_common_names_are_told(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    (pack / "lib").mkdir(parents=True)
    (pack / "lib" / "common_name_of_many_packs.py").write_text("")
    (pack / "__init__.py").write_text(
        "import sys, os\nsys.path.append(os.path.join(os.path.dirname(__file__), 'lib'))\n"
        "import common_name_of_many_packs\n" + NONE
    )
    loaded = load_pack(Pack("pack", "graphengine_pack_pack", pack))
    assert any("sys.modules: common_name_of_many_packs of its own" in p.message for p in loaded.problems)
    del sys.modules["common_name_of_many_packs"]


def test_a_function_replaced_in_a_module_that_came_with_the_pack_is_told(tmp_path: Path) -> None:
    (tmp_path / "changer.py").write_text(
        "import comfy.conds\ndef process(self): pass\ncomfy.conds.CONDRegular.concat = process\n" + NONE
    )
    script = (
        "from graphengine.packs.stand_ins import put_in_place\nput_in_place(['graphengine_comfy'])\n"
        "from graphengine.packs.load import load_pack\nfrom graphengine.packs.discover import Pack\n"
        "from pathlib import Path\n"
        f"pack = Pack('c', 'graphengine_pack_c', Path({str(tmp_path / 'changer.py')!r}))\n"
        "print(*[p.message for p in load_pack(pack).problems])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "comfy.conds.CONDRegular.concat for everybody" in done.stdout, done.stderr


def test_looking_takes_few_milliseconds() -> None:
    seconds = []
    for _ in range(5):
        start = time.process_time()
        assert undo(take_state(["graphengine_pack_x"], Path("/nowhere"), ["graphengine_comfy"])) == []
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.02  # about 1 ms where nothing else is computed
