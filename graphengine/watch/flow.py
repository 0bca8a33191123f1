"""One workflow file that is watched, with the files that it reads."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from graphengine.cache.hashing import FileMemo
from graphengine.foresight import Foresight
from graphengine.packs.discover import Pack
from graphengine.watch.changes import Place
from graphengine.watch.content import Content, content_of, workflow_content
from graphengine.workflow.models import Workflow

Contents = Mapping[Path, Content]


@dataclass(slots=True)
class WatchedFlow:
    """A workflow file (an absolute path), the files that its nodes name, and what both held when last looked at.

    `ran` is the workflow of the last good run with what its inputs held. `packs` are the
    custom packs that may define its nodes. A flow that `is_stuck` has errors that a new file may mend, so
    every change in its folders counts. `told` is the trouble that was told last.
    """

    file: Path
    inputs: frozenset[Path] = frozenset()
    packs: frozenset[Pack] = frozenset()
    seen: Contents | None = None
    ran: tuple[Workflow, Contents] | None = None
    is_stuck: bool = False
    told: str = ""
    _paths: frozenset[Path] = field(default=frozenset(), init=False)

    def __post_init__(self) -> None:
        self._paths = frozenset(_spellings([self.file]))

    def look(self, memo: FileMemo | None) -> Contents:
        """What the files hold now."""
        return {self.file: workflow_content(self.file, memo)} | {
            path: content_of(path, memo) for path in self.inputs
        }

    def take(self, foresight: Foresight, memo: FileMemo | None) -> None:
        """Watch what the nodes of the plan name."""
        named = foresight.now.record.paths.values()
        self.inputs = frozenset(Path(path) for paths in named for path in paths.values())
        self._paths = frozenset(_spellings([self.file, *self.inputs]))
        seen = self.seen or {}
        self.seen = {path: seen.get(path) or content_of(path, memo) for path in (self.file, *self.inputs)}

    def without_file(self) -> Mapping[Path, Content]:
        """What the files that nodes name held when last looked at."""
        return {path: content for path, content in (self.seen or {}).items() if path != self.file}

    def places(self) -> Iterator[Place]:
        """The folders to observe."""
        for path in self._paths:
            yield Place(path.parent)
            if path in self.inputs and path.is_dir():
                yield Place(path)

    def concerns(self, path: Path) -> bool:
        """Whether a change of the path may be one of the files."""
        if path in self._paths or path.parent in self.inputs:
            return True
        return self.is_stuck or any(path == known.parent for known in self._paths)


def _spellings(paths: Iterable[Path]) -> Iterator[Path]:
    """The paths as given and where links lead."""
    for path in paths:
        yield path
        yield Path(os.path.realpath(path))  # unlike `resolve`, it ends where links go in a circle
