"""Why a pack cannot be loaded, in words: which file and line of it, and what to do."""

import os
import re
import traceback
from pathlib import Path

from graphengine.errors import PackError
from graphengine.packs.discover import Pack, source_root
from graphengine.packs.missing_modules import advice
from graphengine.packs.source import source_files
from graphengine.packs.stand_ins import StandInFinder

_LARGEST = 64 * 2**20
_FIRST = 300


def import_failure(pack: Pack, error: ImportError, finder: StandInFinder | None) -> PackError:
    """What to tell when a pack imports something that is not there: of ComfyUI, or of another distribution."""
    name = error.name or ""
    if finder is not None and (name.partition(".")[0] in finder.names or finder.public_name(name)):
        public = finder.public_name(name)
        # The error has the name as an attribute only from Python 3.12 on.
        found = re.match("cannot import name '([^']+)'", str(error))
        wanted = f"{found[1]!r} of {public!r}" if found and public else f"the module {public or name!r}"
        return PackError(
            f"pack {pack.name!r} needs {wanted} of ComfyUI, for which graphengine has no stand-in"
            f"{_at(pack, error)}",
            hint="its nodes cannot be used; those of other packs can",
        )
    if not isinstance(error, ModuleNotFoundError) or not name:
        return failure(pack, error)
    return PackError(
        f"pack {pack.name!r} needs the module {name!r}, which is not installed{_at(pack, error)}",
        hint=advice(pack, name),
    )


def failure(pack: Pack, error: BaseException) -> PackError:
    """What to tell when a pack raises while it is imported, or when its text is no Python."""
    if isinstance(error, SystemExit):
        return PackError(
            f"pack {pack.name!r} ends the program when it is imported: sys.exit({error.code!r}){_at(pack, error)}",
            hint="its nodes cannot be used; what it prints before may say what it wants",
        )
    if isinstance(error, SyntaxError):
        return _no_python(pack, error)
    return PackError(
        f"pack {pack.name!r} cannot be imported: {type(error).__name__}: {str(error)[:_FIRST]}{_at(pack, error)}",
        hint="run again with --debug to see where",
    )


def took_too_long(pack: Pack, error: BaseException, seconds: float) -> PackError:
    """What to tell when a pack was still being imported after its time."""
    return PackError(
        f"pack {pack.name!r} was still being imported after {seconds:g} s{_at(pack, error)}",
        hint="it may wait for the network; allow more time with --import-timeout",
    )


def place_in_pack(pack: Pack, error: BaseException) -> str | None:
    """The last place in the files of a pack that an error came through: `Foo/nodes.py, line 12`."""
    root = source_root(pack)
    if root is None:
        return None
    frames = traceback.extract_tb(error.__traceback__)
    return next(
        (found for frame in reversed(frames) if (found := place(root, frame.filename, frame.lineno))), None
    )


def place(root: Path, file: str, line: int | None) -> str | None:
    """A line of a pack's file for a message, None for a file that is not the pack's."""
    for start in (root, root.resolve()):
        if file == str(start) or file.startswith(f"{start}{os.sep}"):
            inside = (Path(root.name) / Path(file).relative_to(start)).as_posix()
            return inside if not line else f"{inside}, line {line}"
    return None


def _at(pack: Pack, error: BaseException) -> str:
    found = place_in_pack(pack, error)
    return f" ({found})" if found else ""


def _no_python(pack: Pack, error: SyntaxError) -> PackError:
    """What to tell of a file that is no Python: where, and whether it is another encoding."""
    root, file, line = source_root(pack), error.filename or "", error.lineno
    if not file and root is not None:  # Python does not say in which file it found bytes that are 0
        file = next((name for name in source_files(root) if name.endswith(".py") and _has_null_bytes(name)), "")
    bad = _undecodable(file)
    reason = error.msg
    if bad is not None:
        line, reason = bad
    found = place(root, file, line) if root is not None else None
    return PackError(
        f"pack {pack.name!r} cannot be imported: {found or file or 'a file'}: {reason}",
        hint=f"save the file as UTF-8, or ask the pack's author to; line {line} is the first that is not"
        if bad is not None
        else "the pack may need another version of Python, or the file is damaged; its author can tell",
    )


def _has_null_bytes(file: str) -> bool:
    with open(file, "rb") as opened:
        return b"\0" in opened.read(_LARGEST)


def _undecodable(file: str) -> tuple[int, str] | None:
    """The line and the byte that make a file no UTF-8, None when all of it is or it names its encoding."""
    path = Path(file)
    if not path.is_file() or path.stat().st_size > _LARGEST:
        return None
    content = path.read_bytes()
    if re.search(rb"^[ \t\f]*#.*?coding[:=]", b"\n".join(content.split(b"\n", 2)[:2]), re.MULTILINE):
        return None
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return line, f"it is not UTF-8: byte 0x{content[error.start]:02x} in line {line}"
    return None
