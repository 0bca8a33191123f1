"""What the store keeps of a run's nodes, found by recipe and by content."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType

from graphengine.cache.content import slot_digests
from graphengine.cache.store import CacheStore, Entry, Made, Outputs, estimate_bytes
from graphengine.execution.digests import NodeDigests
from graphengine.execution.known import KnownNodes
from graphengine.execution.peaks import Peak
from graphengine.execution.shown import SavedFiles
from graphengine.execution.steps import Step
from graphengine.workflow.models import NodeId

_SMALL = (int, str, float, bool, NoneType)


@dataclass(slots=True)
class Recall:
    """Entries of the store for nodes of a run, and what the run adds.

    `contents` are the content keys that were looked for, `sizes` the bytes of outputs of nodes that ran (numbers
    and texts are not counted), `peaks` what calls took of memory where that is much, `gone` files that nodes had
    saved and that are gone or changed, `kept` nodes whose outputs the store took. `_lost` are keys whose outputs
    are gone.
    """

    store: CacheStore
    known: KnownNodes
    digests: NodeDigests
    saved: SavedFiles
    contents: dict[NodeId, str] = field(default_factory=dict)
    sizes: dict[NodeId, int] = field(default_factory=dict)
    peaks: dict[NodeId, Peak] = field(default_factory=dict)
    gone: dict[NodeId, Path] = field(default_factory=dict)
    _entries: dict[str, Entry] = field(default_factory=dict)
    kept: set[NodeId] = field(default_factory=set)
    _lost: set[str] = field(default_factory=set)

    def look_up(self, node_ids: Iterable[NodeId]) -> None:
        """Ask the store for all these nodes at once, by their recipe keys."""
        of = self.known.keys.of
        self._entries.update(self.store.peek_many([of[node_id] for node_id in node_ids]))

    def has(self, node_id: NodeId) -> bool:
        """Whether the store says that it keeps the node's outputs."""
        return self.known.keys.of[node_id] in self._entries

    def digests_of(self, node_id: NodeId) -> tuple[str, ...]:
        """The digests of the node's outputs as far as they are known: it ran, or the store has them."""
        entry = self._entries.get(self.known.keys.of[node_id])
        return self.digests.known_of(node_id) or (entry.digests if entry is not None else ())

    def by_recipe(self, node_id: NodeId) -> Entry | None:
        """The entry under the node's recipe key, if it still stands."""
        entry = self._entries.get(self.known.keys.of[node_id])
        key = self.known.keys.of[node_id]
        return entry if entry is not None and self._stands(node_id, key, entry) else None

    def by_content(self, step: Step) -> Entry | None:
        """The entry under the step's content key, if it stands; it is found by the recipe from now on."""
        step.is_looked_for = True
        step.content = content = self.digests.content_key(step.node_id)
        if content is None or step.key in self._lost:
            return None
        entry = self.peek(step.node_id, content)
        if entry is None:
            return None
        self.contents[step.node_id] = content
        keys = self.known.keys
        if step.key in keys.volatile or not self.store.alias(step.key, content):
            keys.of[step.node_id] = content  # under its own key it is not found again
        self._entries[keys.of[step.node_id]] = entry
        return entry

    def peek(self, node_id: NodeId, key: str) -> Entry | None:
        """The entry under a key of the node, if it stands; nothing is changed."""
        entry = self.store.peek(key)
        return entry if entry is not None and self._stands(node_id, key, entry) else None

    def forget(self, node_id: NodeId) -> None:
        """The node's outputs were promised and are gone."""
        key = self.known.keys.of[node_id]
        self._entries.pop(key, None)
        self._lost.add(key)

    def with_digests(self, step: Step, outputs: Outputs) -> Outputs:
        """The outputs with their digests, which are known from now on, and how they were made."""
        if not step.is_looked_for:
            step.content = self.digests.content_key(step.node_id)
        if step.content is not None:
            self.contents[step.node_id] = step.content
        if any(type(item) not in _SMALL for items in outputs.slots for item in items):
            self.sizes[step.node_id] = estimate_bytes(outputs.slots)
        if any(step.peak):
            self.peaks[step.node_id] = step.peak
        found = slot_digests(outputs.slots, self.digests.recipe(step.node_id, step.content))
        self.digests.settle(step.node_id, found)
        return replace(outputs, digests=found, made=Made(step.node.class_type, step.seconds))

    def keep(self, step: Step, outputs: Outputs) -> bool:
        """Keep outputs under both keys, as far as these can be found again; whether they are kept.

        What is given to an input that holds a secret is not kept.
        """
        if not step.definition.cacheable or step.node_id in self.known.prompt.open.givers:
            return False
        if step.key in self.known.keys.volatile:
            stored = step.content is not None and self.store.put(step.content, outputs)
            if stored:
                self.kept.add(step.node_id)
            return stored
        stored = self.store.put(step.key, outputs)
        if stored:
            self.kept.add(step.node_id)
        if stored and step.content is not None and step.content != step.key:
            self.store.alias(step.content, step.key)
        if stored and outputs.ui and step.definition.is_output:
            for key in {step.key, step.content or step.key}:
                self.saved.note(key, outputs.ui)
        return stored

    def _stands(self, node_id: NodeId, key: str, entry: Entry) -> bool:
        """Whether an entry still stands: what an output node saved must still be there, as it was."""
        definition = self.known.definitions[node_id]
        if not definition.cacheable:
            return False
        if not entry.ui or not definition.is_output:
            return True
        gone = self.saved.spoilt(key, entry.ui)
        if gone is not None:
            self.gone[node_id] = gone
        return gone is None
