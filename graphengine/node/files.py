"""Choices that are files: symbolic in a definition, and as the lists that node packs ask for."""

from collections.abc import Iterable
from dataclasses import dataclass

from graphengine.node.folders import Folders


@dataclass(frozen=True, slots=True)
class Files:
    """A combo whose choices are the files of a folder kind: "checkpoints", "vae", "input", …

    It stays symbolic in a definition, so that one definition serves every folder setting; the names are looked
    up when a workflow is checked, and the content of the named file becomes part of the cache key. `suffixes`
    ((".latent",) for instance) limits what is listed. `also` are further choices that are no files ("None"),
    listed before the files, or behind them with `also_last`.
    """

    kind: str
    suffixes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    also_last: bool = False

    def names(self, folders: Folders) -> list[str]:
        """The choices that there are now."""
        files = folders.files(self.kind, self.suffixes)
        return [*files, *self.also] if self.also_last else [*self.also, *files]


class FileNames(list[str]):
    """Names of the files of a kind, as `folder_paths.get_filename_list` gives them to node packs.

    An author may add choices, `["None"] + names` or `names.append("auto")`: `files` still says what it lists. What
    is picked out of it, or put together from two of them, is a plain list and means today's names.
    """

    def __init__(self, names: Iterable[str], source: Files, listed: tuple[str, ...] | None = None) -> None:
        """The names, of which those in `listed` are the files of `source`; by default all are."""
        super().__init__(names)
        self._source = source
        self._listed = tuple(self) if listed is None else listed

    @property
    def files(self) -> Files | None:
        """What is listed, with what the author added before or behind it; None when it was changed otherwise."""
        size = len(self._listed)
        for start in (len(self) - size, 0):
            if start >= 0 and tuple(self[start : start + size]) == self._listed:
                also = tuple(self[:start] or self[size:])
                return Files(self._source.kind, self._source.suffixes, also, also_last=bool(also) and start == 0)
        return None

    def copy(self) -> "FileNames":
        """The same names of the same files."""
        return FileNames(self, self._source, self._listed)

    def __add__(self, other: list[str]) -> list[str]:  # type: ignore[override]  # only texts stand among texts
        added = [*self, *other]
        return added if isinstance(other, FileNames) else FileNames(added, self._source, self._listed)

    def __radd__(self, other: list[str]) -> list[str]:
        return FileNames([*other, *self], self._source, self._listed)
