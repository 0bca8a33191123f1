"""Import a pack in a process of its own, as an installation without anything else would."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from graphengine.testing.checks import Finding

_SECONDS = 120.0
# The process imports the pack as a run does and nothing before it, then says what happened on its last line.
_CODE = """
import contextlib, io, json, sys
from pathlib import Path
from graphengine.errors import GraphEngineError
from graphengine.packs.load import load_pack
from graphengine.testing.engines import pack_at
text = io.StringIO()
try:
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        load_pack(pack_at(Path(sys.argv[1])))
    told = None
except GraphEngineError as error:
    told = error.message
print(json.dumps({"error": told, "printed": text.getvalue()[-2000:]}))
"""


def import_findings(pack: Path, seconds: float = _SECONDS) -> Iterator[Finding]:
    """What is wrong with importing the pack: that it fails, ends the process or takes longer than it may."""
    start = pack / "__init__.py" if pack.is_dir() else pack
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CODE, str(pack)],
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        )
    except subprocess.TimeoutExpired:
        yield Finding("imports_alone", f"importing it has not ended after {seconds:.0f} s", file=start)
        return
    lines = done.stdout.strip().splitlines()
    try:
        told = json.loads(lines[-1])["error"]
    except (IndexError, ValueError, KeyError, TypeError):
        last = done.stderr.strip().splitlines()[-1:] or ["nothing"]
        told = f"importing it ends the process with code {done.returncode}; its last words: {last[0][:200]}"
    if told is not None:
        yield Finding("imports_alone", told, file=start)
