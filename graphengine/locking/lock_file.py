"""Reading and writing `graphengine.lock`."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from graphengine.errors import LockError
from graphengine.locking.schema import LOCK_VERSION, Lock
from graphengine.whole_files import being_written

_LARGEST = 16 * 2**20
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEAD = "# Written by graphengine lock; graphengine lock --check tells what differs. docs/lock.md\n"


def read_lock(file: Path) -> Lock:
    """The lock in a file. Line ends of Windows and a byte order mark do not matter.

    Raises:
        LockError: it cannot be read, was cut off, is of a newer version, or does not have the expected form.
    """
    document = _parsed(_content(file), file)
    version = document.get("version")
    if isinstance(version, int) and version > LOCK_VERSION:
        raise LockError(
            f"{file} is a lock of version {version}; this graphengine knows version {LOCK_VERSION}",
            hint="use the graphengine that wrote it, or a newer one",
        )
    if "end" not in document:
        raise LockError(
            f"{file} was cut off: its last table [end] is missing",
            hint="take it from git again, or remove it and run graphengine lock",
        )
    try:
        return Lock.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(_key(str(part)) for part in first["loc"])
        raise LockError(
            f"{file}: {place}: {first['msg']}",
            hint="undo what was changed by hand, or remove the file and run graphengine lock",
        ) from error


def write_lock(file: Path, lock: Lock) -> bool:
    """Write a lock, as a whole or not at all; whether it was another before.

    Raises:
        LockError: the folder cannot be written, or the disk is full; what was there before stays.
    """
    place = file.resolve()
    data = lock_text(lock).encode("utf-8")
    try:
        if place.exists() and place.read_bytes() == data:
            return False
        with being_written(place) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise LockError(
            f"cannot write {file}: {error.strerror}", hint="check the permissions of its folder, and the disk"
        ) from error
    return True


def lock_text(lock: Lock) -> str:
    """The text of a lock: the same facts give the same text."""
    facts = lock.model_dump(mode="json", exclude_none=True)
    end = facts.pop("end")
    return "".join((_HEAD, *_table(facts, ()), *_table({"end": end}, ())))


# Any: what pydantic gives, or TOML says.
def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """A table and those below it: values first, then tables, in the order of the schema, names sorted."""
    values = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if values and path:
        yield f"\n[{'.'.join(map(_key, path))}]\n"
    for key, value in values.items():
        if value != []:
            yield f"{_key(key)} = {_value(value)}\n"
    names = [key for key in table if key not in values]
    for key in names if not path else sorted(names):
        yield from _table(table[key], (*path, key))


def _value(value: object) -> str:
    if isinstance(value, list):
        return "[\n" + "".join(f"    {_value(item)},\n" for item in sorted(value)) + "]"
    # JSON writes texts as TOML does, but for one character that TOML wants escaped
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)


def _content(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except FileNotFoundError as error:
        raise LockError(f"there is no lock {file}", hint="graphengine lock writes it") from error
    except OSError as error:
        raise LockError(f"cannot read {file}: {error.strerror}", hint="make it a readable file") from error
    if len(content) > _LARGEST:
        raise LockError(
            f"{file} is larger than {_LARGEST // 2**20} MiB, which no lock is", hint="take it from git again"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LockError(f"{file}, line {line}: it is not UTF-8 text", hint="take it from git again") from error


def _parsed(text: str, file: Path) -> dict[str, Any]:
    import tomllib  # milliseconds to import, which a run without a lock does not need

    if re.search(r"^(<{7}|>{7}) ", text, re.MULTILINE):
        raise LockError(
            f"{file} has conflicts of a merge in it",
            hint="take one side (git checkout --ours graphengine.lock), then run graphengine lock",
        )
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise LockError(
            f"{file} is damaged or was cut off: {error}",
            hint="take it from git again, or remove it and run graphengine lock",
        ) from error
