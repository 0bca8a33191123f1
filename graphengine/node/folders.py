"""Where a run reads and writes: input, output, temporary and model folders.

Names in a workflow come from strangers. A name is resolved below its folder only: absolute names, `..` and, for
input pictures, symbolic links that leave the folder are refused. Model folders may hold links to other disks,
because their content is the user's own choice.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from os import walk
from pathlib import Path, PurePosixPath, PureWindowsPath

from graphengine.errors import FileRefused, nearest

#: File name endings that count as models, as ComfyUI lists them.
MODEL_SUFFIXES = frozenset({".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"})
_ANNOTATIONS = ("input", "output", "temp")


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of one engine; `input` is searched in order, models are by kind ("checkpoints", "vae", …)."""

    input: tuple[Path, ...] = ()
    output: Path = Path("output")
    temp: Path = Path("temp")
    models: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    def files(self, kind: str, suffixes: Collection[str] | None = None) -> list[str]:
        """Names of the files of a kind ("input" or a model kind), with `/`, sorted, without duplicates.

        `suffixes` limits them; by default every input file counts, and of models those with a model's suffix.
        """
        if not suffixes:
            suffixes = None if kind == "input" else MODEL_SUFFIXES
        follow = kind not in _ANNOTATIONS
        return sorted({name for root in self.roots(kind) for name in _names(root, suffixes, follow=follow)})

    def roots(self, kind: str) -> tuple[Path, ...]:
        """The folders that are searched for a kind, in order."""
        match kind:
            case "input":
                return self.input
            case "output":
                return (self.output,)
            case "temp":
                return (self.temp,)
            case _:
                return self.models.get(kind, ())

    def find(self, kind: str, name: str) -> Path | None:
        """The file of that name, or None when there is none.

        A name may end in ` [input]`, ` [output]` or ` [temp]` when the kind is "input", as ComfyUI writes it.

        Raises:
            FileRefused: the name leads out of the folder.
        """
        if kind == "input":
            name, kind = _annotated(name)
        relative = _relative(name)
        for root in self.roots(kind):
            path = root / relative
            if path.is_file():
                if kind in _ANNOTATIONS and not path.resolve().is_relative_to(root.resolve()):
                    raise FileRefused(
                        f"file {name!r} is a link that leads out of the {kind} folder {root}",
                        hint="copy the file into the folder",
                    )
                return path
        return None

    def path(self, kind: str, name: str) -> Path:
        """The file of that name.

        Raises:
            FileRefused: there is none, or the name leads out of the folder.
        """
        found = self.find(kind, name)
        if found is None:
            raise FileRefused(f"no file {name!r} in the {kind} folder", hint=self.hint(kind, name))
        return found

    def hint(self, kind: str, name: str) -> str:
        """What to do about a file that is absent: the nearest name, or the folder to put it in."""
        near = nearest(name, self.files(kind))
        if near is not None:
            return f"did you mean {near!r}?"
        roots = " or ".join(str(root) for root in self.roots(kind))
        return f"put the file into {roots}" if roots else f"no folder is set for {kind!r}"


def _annotated(name: str) -> tuple[str, str]:
    """`"a.png [output]"` → `("a.png", "output")`."""
    for kind in _ANNOTATIONS:
        if name.endswith(f" [{kind}]"):
            return name[: -len(kind) - 3], kind
    return name, "input"


def _relative(name: str) -> PurePosixPath:
    """The name as a path below a folder.

    Raises:
        FileRefused: it is empty, absolute, holds `..` or a zero byte.
    """
    posix = PurePosixPath(name.replace("\\", "/"))
    absolute = posix.is_absolute() or PureWindowsPath(name).drive != ""
    if not name or "\0" in name or absolute or ".." in posix.parts:
        raise FileRefused(
            f"the file name {name!r} leads out of its folder",
            hint="use a name below the folder, without '..' and without a leading '/'",
        )
    return posix


def _names(root: Path, suffixes: Collection[str] | None, *, follow: bool) -> Iterator[str]:
    """Names below a folder; a linked folder is followed once, so that a loop of links ends."""
    seen: set[Path] = set()
    for folder, folders, files in walk(root, followlinks=follow):
        real = Path(folder).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in files:
            path = Path(folder, file)
            if not file.startswith(".") and (suffixes is None or path.suffix.lower() in suffixes):
                yield path.relative_to(root).as_posix()
