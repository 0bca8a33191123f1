import base64
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.packs.checking.check import check_pack
from graphengine.packs.checking.findings import RULES
from graphengine.packs.checking.python_code import check_python

ROOT = Path(__file__).parent.parent.parent.parent


def codes(text: str | bytes) -> list[tuple[int, str, str]]:
    content = text.encode() if isinstance(text, str) else text
    return sorted((each.line, each.code, each.severity) for each in check_python("a.py", content))


def inside(line: str) -> str:
    """A line in a function, after the imports that it needs."""
    return (
        "import asyncio, base64, builtins, ctypes, importlib, marshal, os, pickle, requests, shutil, signal\n"
        "import socket\n"
        "import subprocess, sys, torch, urllib.request, yaml, zlib, numpy as np, subprocess as sp\n"
        "from os import system\nfrom pathlib import Path\nimport comfy.samplers\n"
        f"def f(x):\n    {line}\n"
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("eval(x)", "evaluates_text"),
        ("exec(x)", "evaluates_text"),
        ("compile(x, '', 'exec')", "evaluates_text"),
        ("builtins.eval(x)", "evaluates_text"),
        ("subprocess.run(x)", "starts_process"),
        ("sp.Popen(x)", "starts_process"),
        ("system(x)", "starts_process"),
        ("__import__('os').system(x)", "starts_process"),
        ("importlib.import_module('os').popen(x)", "starts_process"),
        ("getattr(os, 'system')(x)", "starts_process"),
        ("asyncio.create_subprocess_exec(x)", "starts_process"),
        ("requests.get(x)", "uses_network"),
        ("urllib.request.urlopen(x)", "uses_network"),
        ("socket.socket()", "uses_network"),
        ("torch.hub.load(x)", "uses_network"),
        ("pickle.load(x)", "reads_pickle"),
        ("torch.load(x)", "reads_pickle"),
        ("torch.load(x, weights_only=False)", "reads_pickle"),
        ("np.load(x, allow_pickle=True)", "reads_pickle"),
        ("yaml.load(x)", "reads_pickle"),
        ("marshal.loads(x)", "reads_pickle"),
        ("exec(base64.b64decode(x))", "hidden_code"),
        ("eval(compile(zlib.decompress(base64.b64decode(x)), '', 'exec'))", "hidden_code"),
        ("exec(bytes.fromhex(x).decode())", "hidden_code"),
        ("subprocess.run([sys.executable, '-m', 'pip', 'install', x])", "installs_packages"),
        ("os.system('pip install foo')", "installs_packages"),
        ("open('/etc/cron.d/x', 'w')", "writes_outside"),
        ("open(os.path.expanduser('~/.bashrc'), 'a')", "writes_outside"),
        ("(Path.home() / 'x').write_text(x)", "writes_outside"),
        ("shutil.copy(x, '../other')", "writes_outside"),
        ("shutil.rmtree(x)", "deletes_files"),
        ("sys.path.insert(0, x)", "changes_path"),
        ("sys.path += [x]", "changes_path"),
        ("sys.modules['torch'] = x", "changes_modules"),
        ("del sys.modules['torch']", "changes_modules"),
        ("builtins.print = x", "changes_builtins"),
        ("setattr(builtins, 'print', x)", "changes_builtins"),
        ("torch.set_default_dtype(x)", "changes_torch"),
        ("torch.backends.cudnn.benchmark = True", "changes_torch"),
        ("os.chdir(x)", "changes_environment"),
        ("os.environ['A'] = x", "changes_environment"),
        ("signal.signal(1, x)", "changes_environment"),
        ("comfy.samplers.sample = x", "patches_module"),
        ("ctypes.CDLL(x)", "loads_native"),
        ("__import__(x)", "imports_computed"),
        ("open('~/.ssh/id_rsa')", "names_secrets"),
    ],
)
def test_what_a_function_does_is_found_with_its_line(line: str, code: str) -> None:
    assert (8, code) in [(at, found) for at, found, _ in codes(inside(line))]


@pytest.mark.parametrize(
    "line",
    [
        "re.compile(x)",
        "model.eval()",
        "torch.load(x, weights_only=True)",
        "yaml.safe_load(x)",
        "yaml.load(x, Loader=yaml.SafeLoader)",
        "np.load(x)",
        "open(x, 'w')",
        "open('/etc/hosts')",
        "(x / 'a').write_text('https://example.org')",
        "self.path = x",
        "x.sys.path.append(1)",
        "socket.gethostname()",
        "os.path.join(x, '..')",
        "logging.getLogger().info('pip install foo')",
        "'a long text of words, ' * 99",
    ],
)
def test_what_is_harmless_is_not_found(line: str) -> None:
    assert codes(inside(line)) == []


def test_what_happens_at_import_is_worse() -> None:
    head = "import requests\nrequests.get('http://x')\n"
    text = f"{head}class A:\n    b = eval('1')\ndef f(a=requests.get('y')):\n    pass\n"
    assert codes(text) == [
        (2, "acts_at_import", "note"),
        (2, "uses_network", "error"),
        (4, "evaluates_text", "error"),
        (5, "uses_network", "error"),
    ]
    assert codes("import requests\nif __name__ == '__main__':\n    x = requests.get('y')\n") == [
        (3, "uses_network", "warning")
    ]


def test_texts_that_only_a_program_can_read_are_found() -> None:
    opaque = base64.b64encode(bytes(range(256)) * 4).decode()
    assert codes(f"a = 1\nb = '{opaque}'\n") == [(2, "long_text", "warning")]
    assert codes(f"b = {bytes(range(256)) * 4!r}\n") == [(1, "long_text", "warning")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a = 1\nb = '\xff'\n", [(2, "no_text", "error")]),
        (b"a = 1\n\0\n", [(2, "no_text", "error")]),
        (b"\xef\xbb\xbfa = 1\n", []),
        (b"def f(:\n", [(1, "wrong_syntax", "warning")]),
        ("a = 'user\u202e' # }\n".encode(), [(1, "invisible_text", "error")]),
        (b"(" * 300 + b")" * 300, [(1, "wrong_syntax", "warning")]),
        (b"-" * 100_000 + b"1", [(1, "too_deep", "warning")]),
        (b"a" + b".b" * 100_000, [(1, "too_deep", "warning")]),
        (b"", []),
    ],
)
def test_files_that_cannot_be_read_are_findings(content: bytes, expected: list[tuple[int, str, str]]) -> None:
    assert codes(content) == expected


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_no_file_stops_the_check(content: bytes) -> None:
    assert all(each.code in RULES for each in check_python("a.py", content))


def test_files_of_a_pack_are_found_by_their_kind(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    (pack / ".hidden").mkdir(parents=True)
    (pack / "__init__.py").write_text("")
    (pack / ".hidden" / "more.py").write_text("def f():\n    eval('1')\n")
    for name in ("a.so", "b.PYD", "lib.so.1", "c.exe", "d.pyc", "weights.pth", "text.txt", "install.py"):
        (pack / name).write_bytes(b"")
    (pack / "large.py").write_bytes(b"#" * (5 * 2**20))
    (tmp_path / "outside.py").write_text("")
    (pack / "link.py").symlink_to(tmp_path / "outside.py")
    (pack / "round").symlink_to(pack)
    (pack / "loop.py").symlink_to(pack / "loop.py")
    (pack / "folder.py").mkdir()
    assert [(each.file, each.code) for each in check_pack(pack)] == [
        (".hidden/more.py", "evaluates_text"),
        ("a.so", "binary_file"),
        ("b.PYD", "binary_file"),
        ("c.exe", "binary_file"),
        ("d.pyc", "compiled_python"),
        ("install.py", "install_script"),
        ("large.py", "too_large"),
        ("lib.so.1", "binary_file"),
        ("link.py", "link_outside"),
        ("loop.py", "link_outside"),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes among files")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert [(each.file, each.code) for each in check_pack(tmp_path)] == [("pipe.py", "unreadable")]


def test_a_single_file_is_a_pack(tmp_path: Path) -> None:
    (tmp_path / "node.py").write_text("import os\nos.system('x')\n")
    assert [(e.file, e.line, e.code) for e in check_pack(tmp_path / "node.py")] == [
        ("node.py", 2, "acts_at_import"),
        ("node.py", 2, "starts_process"),
    ]


def test_every_code_is_documented_as_the_code_has_it() -> None:
    lines = (ROOT / "docs" / "pack-checks.md").read_text().splitlines()
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("| `")]
    assert rows == [(f"`{code}`", RULES[code].severity, RULES[code].meaning) for code in sorted(RULES)]
