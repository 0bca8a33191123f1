"""What a run would do, told without calling a node: what runs, what is cached, what cannot be known yet.

Policy. As in a run, the work goes backwards first: a node whose outputs the store holds under its recipe key is
taken from there, any other asks for what it reads. Then forwards: where all that a node reads is known, its
content key is looked up; where something before it runs, the node is `perhaps` cut off if its own parts are those
of an earlier run, and `runs` otherwise. Loaders come last: they run when a node that reads them does.

What is said to be cached is not executed by a run that follows, and what that executes `runs` or `perhaps` does.
Nodes that a node puts in its place while it runs are not foreseen.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

from graphengine.cache.store import Entry
from graphengine.execution.digests import NodeDigests
from graphengine.execution.known import KnownNodes
from graphengine.execution.recall import Recall
from graphengine.node.dynamic import live_inputs
from graphengine.workflow.models import Link, NodeId

Fate = Literal["runs", "perhaps", "cached", "not needed"]
#: Why: see `Foreseen`.
Why = Literal[
    "kept", "same content", "equal", "no result", "always", "read", "cut off", "lazy", "asks", "unneeded"
]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What will become of a node, and why.

    It is `kept` in the store, has the `same content` as one that is kept, or is `equal` to node `of`. It runs
    since there is `no result`, it `always` does, or it is a loader that node `of` has to `read`. It perhaps runs:
    not when node `of` gives the same (`cut off`), only if node `of` asks for it (`lazy`) or must be called
    (`read`), or node `of`, which may be itself, `asks` its own code whether it changed.
    """

    fate: Fate
    why: Why
    of: NodeId | None = None


_UNNEEDED = Foreseen("not needed", "unneeded")


@dataclass(slots=True)
class Forecast:
    """Works out what becomes of the nodes of a plan; `known` has its nodes and their keys.

    `is_unchanged` tells whether a node's own parts are those of an earlier run that had its outputs. `unasked` are
    nodes whose `IS_CHANGED` was not called: their keys are guesses.
    """

    known: KnownNodes
    recall: Recall
    digests: NodeDigests
    is_unchanged: Callable[[NodeId], bool]
    unasked: Collection[NodeId] = ()
    of: dict[NodeId, Foreseen] = field(default_factory=dict)
    _entries: dict[NodeId, Entry] = field(default_factory=dict)
    _certain: dict[NodeId, bool] = field(default_factory=dict)
    _lazy_readers: dict[NodeId, NodeId] = field(default_factory=dict)
    _guessed: dict[NodeId, NodeId] = field(default_factory=dict)
    _settled: set[NodeId] = field(default_factory=set)
    _owners: dict[str, NodeId] = field(default_factory=dict)

    def make(self) -> dict[NodeId, Foreseen]:
        """What becomes of each node, in the order of the plan."""
        plan = self.known.plan
        self.recall.look_up(plan.steps)
        self._find_guesses()
        self._ask()
        for node_id in plan.steps:
            if node_id in self._certain:
                self.of[node_id] = self._foresee(node_id)
        self._ask_for_loaders()
        return {node_id: self.of.get(node_id, _UNNEEDED) for node_id in plan.steps}

    def _find_guesses(self) -> None:
        """Nodes whose keys rest on what an `IS_CHANGED` would answer, with the node that has it."""
        for node_id in self.known.plan.steps if self.unasked else ():
            guess = node_id if node_id in self.unasked else None
            guess = guess or next(
                (found for s in self.known.sources(node_id) if (found := self._guessed.get(s))), None
            )
            if guess is not None:
                self._guessed[node_id] = guess

    def _ask(self) -> None:
        """Work backwards: which nodes are asked for, certainly (True) or perhaps."""
        for target in self.known.plan.graph.targets:
            self._certain[target] = True
        for node_id in reversed(self.known.plan.steps):
            certain = self._certain.get(node_id)
            if certain is None:
                continue
            entry = self.recall.by_recipe(node_id)
            if entry is not None:
                self._entries[node_id] = entry
                if node_id not in self._guessed:
                    continue
                certain = False
            self._ask_sources(node_id, certain=certain)

    def _ask_sources(self, node_id: NodeId, *, certain: bool) -> None:
        read, lazy = self._reads(node_id)
        for source in read:
            asked = self.digests.grounds(source) if self.known.definitions[source].is_recipe else (source,)
            for each in asked:
                self._certain[each] = certain or self._certain.get(each, False)
        for source in lazy:
            asked = self.digests.grounds(source) if self.known.definitions[source].is_recipe else (source,)
            for each in asked:
                self._lazy_readers[each] = node_id
                self._certain.setdefault(each, False)

    def _reads(self, node_id: NodeId) -> tuple[set[NodeId], set[NodeId]]:
        """What a node reads, and what it may ask for while it runs."""
        node, definition = self.known.nodes[node_id], self.known.definitions[node_id]
        if not (definition.has_lazy and definition.has_lazy_check):
            return self.known.sources(node_id), set()
        specs = live_inputs(definition, node.inputs)
        links = {name: value.source for name, value in node.inputs.items() if type(value) is Link}
        lazy = {source for name, source in links.items() if name in specs and specs[name].is_lazy}
        read = {source for name, source in links.items() if not (name in specs and specs[name].is_lazy)}
        return read, lazy - read

    # Forwards

    def _foresee(self, node_id: NodeId) -> Foreseen:
        entry = self._entries.get(node_id)
        guess = self._guessed.get(node_id)
        if entry is not None or guess == node_id:
            if guess is not None:
                return Foreseen("perhaps", "asks", guess)
            assert entry is not None
            return self._take(node_id, entry, Foreseen("cached", "kept"))
        owner = self._owners.setdefault(self.known.keys.of[node_id], node_id)
        if owner != node_id:
            return self._equal(node_id, owner)
        found = self._always(node_id) or self._by_content(node_id)
        if not self._certain[node_id] and found.fate == "runs":
            return Foreseen("perhaps", *self._reason(node_id))
        return found

    def _equal(self, node_id: NodeId, owner: NodeId) -> Foreseen:
        """Nodes with the same key run once; which of them does, the run decides."""
        if owner in self._settled:
            self.digests.settle(node_id, self.digests.known_of(owner) or ())
            self._settled.add(node_id)
        fate = self.of[owner].fate
        return Foreseen("perhaps" if fate == "runs" else fate, "equal", owner)

    def _take(self, node_id: NodeId, entry: Entry, foreseen: Foreseen) -> Foreseen:
        self.digests.settle(node_id, entry.digests)
        self._settled.add(node_id)
        return foreseen

    def _always(self, node_id: NodeId) -> Foreseen | None:
        keys = self.known.keys
        return Foreseen("runs", "always") if node_id in keys.always or node_id in keys.unkeyed else None

    def _reason(self, node_id: NodeId) -> tuple[Why, NodeId | None]:
        """Why a node is asked for only perhaps."""
        reader = self._lazy_readers.get(node_id)
        if reader is not None:
            return "lazy", reader
        return "read", next(self._readers(node_id), None)

    def _readers(self, node_id: NodeId) -> Iterator[NodeId]:
        """The nodes that read a node and are asked for."""
        return (
            each
            for each in self.known.plan.graph.dag.successors(node_id)
            if each in self.of or each in self._certain
        )

    def _by_content(self, node_id: NodeId) -> Foreseen:
        """What follows from the nodes that a node reads."""
        waits = self._unknown(node_id)
        if waits:
            unchanged = self.is_unchanged(node_id)
            return Foreseen("perhaps", "cut off", waits[0]) if unchanged else Foreseen("runs", "no result")
        entry = self._content_entry(node_id)
        if entry is None:
            return Foreseen("runs", "no result")
        if node_id in self._guessed:
            return Foreseen("perhaps", "asks", self._guessed[node_id])
        _, lazy = self._reads(node_id)
        if lazy:  # a run may call the node before it knows what these give
            return Foreseen("perhaps", "cut off", min(lazy))
        return self._take(node_id, entry, Foreseen("cached", "same content"))

    def _unknown(self, node_id: NodeId) -> list[NodeId]:
        """The nodes whose outputs a node reads and that have to run first, perhaps; in the order of the inputs."""
        unknown: dict[NodeId, None] = {}
        for value in self.known.nodes[node_id].inputs.values():
            if type(value) is not Link:
                continue
            is_recipe = self.known.definitions[value.source].is_recipe
            needed = self.digests.grounds(value.source) if is_recipe else (value.source,)
            unknown.update(dict.fromkeys(each for each in needed if each not in self._settled))
        return list(unknown)

    def _content_entry(self, node_id: NodeId) -> Entry | None:
        if not self._has_digests(node_id):
            return None
        content = self.digests.content_key(node_id)
        return None if content is None else self.recall.peek(node_id, content)

    def _has_digests(self, node_id: NodeId) -> bool:
        """Whether the store knows the digests; entries of an older version would have to be read whole."""
        for value in self.known.nodes[node_id].inputs.values():
            if type(value) is Link and not self.known.definitions[value.source].is_recipe:
                digests = self.digests.known_of(value.source)
                if digests is None or value.output >= len(digests):
                    return False
        return True

    # Loaders

    def _ask_for_loaders(self) -> None:
        """Loaders run when a node that reads them must be called."""
        for node_id in reversed(self.known.plan.steps):
            if node_id in self.of or not self.known.definitions[node_id].is_recipe:
                continue
            fates = {reader: self.of[reader].fate for reader in self._readers(node_id) if reader in self.of}
            reader = next((each for fate in ("runs", "perhaps") for each in fates if fates[each] == fate), None)
            if reader is None:
                continue
            entry = self.recall.by_recipe(node_id)
            if entry is not None and node_id not in self._guessed:
                self.of[node_id] = Foreseen("cached", "kept")
            elif fates[reader] == "runs" and node_id not in self._guessed:
                self.of[node_id] = Foreseen("runs", "read", reader)
            else:
                self.of[node_id] = Foreseen("perhaps", "read", reader)
