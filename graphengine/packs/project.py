"""`graphengine.toml`: what a project says of the packs in its `custom_nodes` folders.

```toml
[packs.ComfyUI-Foo]
trusted = "sha256:…"   # the code that may be imported
isolate = true         # in an environment and a process of its own
memory = "4GB"         # and with these limits
network = false
read_only = true
timeout = 600
first = true           # its nodes come before those of the same name in other packs
prestartup = true      # its prestartup_script.py is run before it is imported
```
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from graphengine.errors import SettingsError
from graphengine.packs.discover import Pack
from graphengine.packs.import_policy import ImportPolicy

PROJECT_FILE = "graphengine.toml"
_LARGEST = 2**20
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"\s*\[")

Value = str | bool | None


class PackOptions(BaseModel):
    """What the project says of one pack.

    `trusted` is a digest of the code that may be imported. With `isolate` its nodes run in a process of their own,
    where a call may take `timeout` seconds and use `memory` bytes, and is kept from the `network` or, with
    `read_only`, from writing beyond the folders of the run. With `first` it comes before packs without: of two
    packs with one node type, the earlier has it. With `prestartup` its `prestartup_script.py` is run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # most projects have no such file

    trusted: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    isolate: bool = False
    memory: Annotated[ByteSize, Field(gt=0)] | None = None
    network: bool = True
    read_only: bool = False
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    first: bool = False
    prestartup: bool = False


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """Which custom packs may be imported. The default trusts none.

    `listed` has the digests of packs that the project file lists, by name. `named` are trusted as they are now,
    with `everything` all packs are. With `changed`, listed packs are trusted although they changed. `file` is the
    project file.
    """

    listed: Mapping[str, str] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    everything: bool = False
    changed: bool = False
    file: Path = Path(PROJECT_FILE)


@dataclass(frozen=True, slots=True)
class Project:
    """The project file of a folder; without one it says nothing."""

    file: Path = Path(PROJECT_FILE)
    packs: Mapping[str, PackOptions] = field(default_factory=dict)

    def options(self, pack: str) -> PackOptions:
        """What it says of a pack."""
        return self.packs.get(pack) or PackOptions()

    def ordered(self, packs: Iterable[Pack]) -> list[Pack]:
        """The packs in the order in which they are asked for a node type: those with `first` before the others."""
        return sorted(packs, key=lambda pack: not self.options(pack.name).first)

    def importing(self, prestartup: Iterable[str] = (), timeout: float | None = None) -> ImportPolicy:
        """How packs are imported: with the scripts of the packs it names and those given, in so many seconds."""
        listed = [name for name, options in self.packs.items() if options.prestartup]
        policy = ImportPolicy(prestartup=frozenset([*listed, *prestartup]))
        return policy if timeout is None else replace(policy, timeout=timeout)

    def trust(self, named: Iterable[str] = (), *, changed: bool = False) -> TrustPolicy:
        """The policy that trusts the packs it lists, and those named."""
        listed = {name: options.trusted for name, options in self.packs.items() if options.trusted is not None}
        return TrustPolicy(listed, frozenset(named), changed=changed, file=self.file)


def read_project(folder: Path) -> Project:
    """What the `graphengine.toml` in a folder says; tables other than `packs` are left to others.

    Raises:
        SettingsError: it cannot be read, or does not have the expected form.
    """
    file = folder / PROJECT_FILE
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except FileNotFoundError:
        return Project(file)
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}", hint="make it readable") from error
    if len(content) > _LARGEST:
        raise SettingsError(f"{file} has more than {_LARGEST} bytes", hint="keep nothing in it but settings")
    tables = _parsed(content, file).get("packs", {})
    if not isinstance(tables, dict):
        raise SettingsError(f"{file}: 'packs' is no table", hint="write [packs.NAME] and the options below it")
    return Project(file, {name: _options(file, name, table) for name, table in tables.items()})


def change_project(project: Project, changes: Mapping[str, Mapping[str, Value]]) -> None:
    """Set options of packs in the project file, None removes one; all else stays as it is written.

    Raises:
        SettingsError: the file cannot be written, or is written in a way that this cannot change.
    """
    file = project.file
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read {file}: {error}", hint="make it readable, in UTF-8") from error
    wanted = _parsed(text.encode(), file)
    lines = text.splitlines()
    for pack, options in changes.items():
        tables = wanted.setdefault("packs", {})
        table = tables.setdefault(pack, {})
        for key, value in options.items():
            lines = _with_option(lines, pack, key, value)
            table[key] = value
            if value is None:
                del table[key]
    changed = "".join(f"{line}\n" for line in lines)
    if _parsed(changed.encode(), file) != wanted:
        raise SettingsError(
            f"{file} is written in a way that cannot be changed here",
            hint=f"write these by hand: {_by_hand(changes)}",
        )
    _replace(file, changed)


# Any: the file comes from outside; the model checks it.
def _parsed(content: bytes, file: Path) -> dict[str, Any]:
    import tomllib  # milliseconds to import, and most folders have no such file

    try:
        return tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file} is no readable TOML: {error}", hint="correct the line it names") from error


def _options(file: Path, name: str, table: Any) -> PackOptions:
    try:
        return PackOptions.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(["packs", name, *map(str, first["loc"])])
        raise SettingsError(
            f"{file}: {place}: {first['msg']}",
            hint=f"a pack may have {', '.join(PackOptions.model_fields)}; see docs/isolation-and-trust.md",
        ) from error


def _with_option(lines: list[str], pack: str, key: str, value: Value) -> list[str]:
    """The lines with an option of a pack set, or without it."""
    header = f"[packs.{_key(pack)}]"
    spellings = {header, f"[packs.{json.dumps(pack, ensure_ascii=False)}]", f"[packs.'{pack}']"}
    start = next((i for i, line in enumerate(lines) if line.partition("#")[0].strip() in spellings), None)
    if start is None:
        added = [header, f"{key} = {_written(value)}"]
        return lines if value is None else [*lines, *([""] if lines else []), *added]
    end = next((i for i in range(start + 1, len(lines)) if _HEADER.match(lines[i])), len(lines))
    place = next((i for i in range(start + 1, end) if lines[i].partition("=")[0].strip() == key), None)
    new = [] if value is None else [f"{key} = {_written(value)}"]
    if place is None:
        return [*lines[: start + 1], *new, *lines[start + 1 :]]
    return [*lines[:place], *new, *lines[place + 1 :]]


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _written(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False)


def _by_hand(changes: Mapping[str, Mapping[str, Value]]) -> str:
    return "; ".join(
        f"[packs.{_key(pack)}] {key} = {_written(value)}"
        for pack, options in changes.items()
        for key, value in options.items()
    )


def _replace(file: Path, text: str) -> None:
    written: Path | None = None
    try:
        with NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, prefix=".", delete=False) as opened:
            written = Path(opened.name)
            opened.write(text)
        written.chmod(file.stat().st_mode & 0o777 if file.exists() else 0o644)
        os.replace(written, file)
        written = None
    except OSError as error:
        raise SettingsError(f"cannot write {file}: {error.strerror}", hint="make its folder writable") from error
    finally:
        if written is not None:
            written.unlink(missing_ok=True)
