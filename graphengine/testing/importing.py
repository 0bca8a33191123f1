"""Import a pack in a process of its own, as an installation without anything else would."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from graphengine.testing.checks import Finding
from graphengine.testing.process_groups import end_with_children, start_python

SECONDS = 120.0
_GRACE = 10.0  # to start the interpreter, and to be interrupted from inside
_LAST_WORDS = 4000
# The process imports the pack as a run does and nothing before it. A pack may print, so it tells by a file.
_CODE = """
import json, os, sys
from pathlib import Path
from graphengine.errors import GraphEngineError
from graphengine.packs.import_policy import ImportPolicy
from graphengine.packs.load import load_pack
from graphengine.testing.engines import pack_at
pack, told, seconds = sys.argv[1:]
try:
    load_pack(pack_at(Path(pack)), policy=ImportPolicy(timeout=float(seconds)))
    error = None
except GraphEngineError as raised:
    error = raised.message
Path(told).write_text(json.dumps(error))
os._exit(0)
"""


def import_findings(pack: Path, seconds: float = SECONDS) -> Iterator[Finding]:
    """What is wrong with importing the pack: that it fails, ends the process or takes longer than it may."""
    start = pack / "__init__.py" if pack.is_dir() else pack
    with TemporaryDirectory(prefix="graphengine_import_") as folder:
        wrong = _wrong(pack, seconds, Path(folder))
    if wrong is not None:
        yield Finding("imports_alone", wrong, file=start)


def _wrong(pack: Path, seconds: float, folder: Path) -> str | None:
    told, words = folder / "told", folder / "words"
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    with words.open("wb") as errors:
        process = start_python(_CODE, str(pack), str(told), str(seconds), further={}, stderr=errors, **pipes)
    try:
        code = process.wait(seconds + _GRACE)
    except subprocess.TimeoutExpired:
        return f"importing it has not ended after {seconds:g} s"
    finally:
        end_with_children(process)
    if told.exists():
        error: str | None = json.loads(told.read_text())
        return error
    with words.open("rb") as written:
        written.seek(max(0, words.stat().st_size - _LAST_WORDS))
        last = written.read().decode(errors="replace").strip().splitlines()[-1:] or ["nothing"]
    return f"importing it ends the process with code {code}; its last words: {last[0][:200]}"
