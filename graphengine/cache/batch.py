"""What an index has not written yet."""

from dataclasses import dataclass, field
from pathlib import Path

from graphengine.cache.journal import Journal
from graphengine.cache.rows import Action, Content


@dataclass(slots=True)
class Batch:
    """What is not yet written: actions by key; contents and staged files by digest; keys that were used; (stamp,
    fingerprint) by path. `journal` has the actions until they are committed.
    """

    actions: dict[str, Action] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)
    staged: dict[str, Path] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    files: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    bytes: int = 0
    journal: Journal | None = None

    def __bool__(self) -> bool:
        return bool(self.actions or self.used or self.files)

    def add(self, action: Action, content: Content | None) -> None:
        """Take an action with its content, if that is not known yet."""
        self.actions[action.key] = action
        self.bytes += action.size
        if content is not None:
            self.contents[content.digest] = content
            self.bytes += len(content.data or b"")

    def stage(self, content: Content, staged: Path) -> bool:
        """Take the staged file of a content; False when there is another one already."""
        if content.digest in self.staged:
            return False
        self.staged[content.digest] = staged
        self.bytes += content.size
        return True

    def end(self) -> None:
        """Let go of the journal: what it holds is committed, or given up."""
        if self.journal is not None:
            self.journal.discard()
            self.journal = None
