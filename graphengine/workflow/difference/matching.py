"""Which node of one graph is which of another: by id, and where ids were given anew, by structure.

Both ways are tried when ids alone leave differences, and the one that leaves fewer counts, ids first.

By structure: each node gets a number for what it is (type, state, literals), then for what it is and its
neighbours are, then for what those are, and so on; nodes with equal numbers are alike as far as one looks. Pairs
are made from the farthest look to the nearest, so what lies far from an edit is paired with certainty and tells,
as a neighbour, which of the alike nodes near it belong together.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from graphengine.workflow.difference.sheets import BOUNDARY, SheetNode, Source
from graphengine.workflow.difference.values import frozen

Nodes = Mapping[str, SheetNode]
#: Ids of the old graph by ids of the new one.
Pairs = dict[str, str]

_FARTHEST = 12
_FEW_CHANGES = 3
_MOST_TRIES = 300
_MOST_GUESSES = 24
_FEW = 16  # alike nodes that are compared one by one


def match_nodes(old: Nodes, new: Nodes, cost: Callable[[Pairs], int]) -> Pairs:
    """The pairs that leave the fewest differences, as `cost` counts them."""
    by_id = {key: key for key, node in new.items() if key in old and old[key].type == node.type}
    if len(by_id) == len(old) == len(new) and not cost(by_id):
        return by_id
    looks = _Looks(old, new)
    kept = _Matching(old, new, looks)
    kept.pair_all(by_id.items())
    kept.finish()
    first = cost(kept.pairs)
    if not first:
        return kept.pairs
    free = _Matching(old, new, looks)
    free.pair_all((key, key) for key in BOUNDARY if key in old and key in new)
    free.finish()
    if first < _FEW_CHANGES and first <= cost(free.pairs):
        return kept.pairs
    best = _exchanged(free, cost)
    return best if cost(best) < first else kept.pairs


def _exchanged(matching: "_Matching", cost: Callable[[Pairs], int]) -> Pairs:
    """The pairs with partners exchanged among nodes of one type, as long as that leaves fewer differences.

    What reads the two nodes is exchanged with them, and what reads that, or what they read; so are whole chains.
    """
    pairs, least = matching.pairs, cost(matching.pairs)
    tries = 0
    is_better = True
    while is_better:
        is_better = False
        unclear = [key for key in pairs if matching.disagrees(key, pairs)]
        for one, other in combinations(unclear, 2):
            if matching.new[one].type != matching.new[other].type:
                continue
            for step in (None, matching.alike_readers, matching.alike_sources):
                tries += 1
                if tries > _MOST_TRIES:
                    return pairs
                changed = _with_exchange(pairs, one, other, step)
                found = cost(changed)
                if found < least:
                    pairs, least, is_better = changed, found, True
                    break
            if is_better:
                break
    return pairs


def _with_exchange(
    pairs: Pairs, one: str, other: str, step: Callable[[str, str], Iterable[tuple[str, str]]] | None
) -> Pairs:
    made = dict(pairs)
    seen: set[str] = set()
    waiting = [(one, other)]
    while waiting:
        first, second = waiting.pop()
        if first == second or first in seen or second in seen or first not in made or second not in made:
            continue
        seen |= {first, second}
        made[first], made[second] = made[second], made[first]
        waiting.extend(step(first, second) if step is not None else ())
    return made


@dataclass(slots=True)
class _Looks:
    """Numbers for what nodes look like, by look (0 is the nearest) and side; equal numbers are alike."""

    old: Nodes
    new: Nodes
    levels: list[tuple[dict[str, int], dict[str, int]]] = field(default_factory=list)
    readers: tuple[Mapping[str, "_Readers"], Mapping[str, "_Readers"]] = field(init=False)
    _numbers: dict[Hashable, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.readers = (_readers(self.old), _readers(self.new))
        first = tuple({key: self._number(_own(node)) for key, node in side.items()} for side in self.sides)
        self.levels.append((first[0], first[1]))
        known = 0
        for _ in range(_FARTHEST):
            last = self.levels[-1]
            following = tuple(
                {key: self._number(self._wider(key, node, last[at], at)) for key, node in side.items()}
                for at, side in enumerate(self.sides)
            )
            self.levels.append((following[0], following[1]))
            count = len({*following[0].values(), *following[1].values()})
            if count == known:
                break
            known = count

    @property
    def sides(self) -> tuple[Nodes, Nodes]:
        """Both graphs."""
        return self.old, self.new

    def _number(self, look: Hashable) -> int:
        return self._numbers.setdefault(look, len(self._numbers))

    def _wider(self, key: str, node: SheetNode, near: Mapping[str, int], at: int) -> Hashable:
        sources = [
            (name, given.output, near.get(given.node, -1)) for name, given in _links(node) if given.node in near
        ]
        readers = [(name, str(output), near[reader]) for reader, name, output in self.readers[at].get(key, ())]
        return near[key], tuple(sorted(sources, key=str)), tuple(sorted(readers))


_Readers = Sequence[tuple[str, str, int | str]]


def _links(node: SheetNode) -> Iterator[tuple[str, Source]]:
    return ((name, given) for name, given in node.inputs.items() if isinstance(given, Source))


def _readers(nodes: Nodes) -> dict[str, list[tuple[str, str, int | str]]]:
    found: dict[str, list[tuple[str, str, int | str]]] = defaultdict(list)
    for key, node in nodes.items():
        for name, given in _links(node):
            found[given.node].append((key, name, given.output))
    return found


def _own(node: SheetNode) -> Hashable:
    literals = {name: given for name, given in node.inputs.items() if not isinstance(given, Source)}
    linked = tuple(sorted(name for name, _ in _links(node)))
    return "own", node.type, node.state, node.title, frozen(literals), linked


@dataclass(slots=True)
class _Matching:
    """Pairs in the making."""

    old: Nodes
    new: Nodes
    looks: _Looks
    pairs: Pairs = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def pair_all(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Take pairs (new, old) that are certain."""
        for key, before in pairs:
            self.pairs[key] = before
            self.taken.add(before)

    def finish(self) -> None:
        """Pair what is left: by looks, by type and neighbours, by type alone, and at last by id."""
        levels = self.looks.levels[::-1]
        for guess in range(_MOST_GUESSES + 1):
            for before, after in levels:
                self._pair_alike(before, after, clear=True)
            if not self._left(self.new) or not self._left(self.old):
                break
            if guess == _MOST_GUESSES or not any(self._guess(before, after) for before, after in levels):
                for before, after in levels:
                    self._pair_alike(before, after, clear=False)
                break
        self._pair_by(lambda node: node.type, least=1)
        self._pair_by(lambda node: (node.type, node.title), least=0)
        self._pair_by(lambda node: node.type, least=0)
        for key in self._left(self.new):
            if key in self.old and key not in self.taken:
                self.pair_all([(key, key)])

    def disagrees(self, key: str, pairs: Pairs) -> bool:
        """Whether a node or what it is linked to differs from its partner."""
        node, before = self.new[key], self.old[pairs[key]]
        for name, given in _links(node):
            was = before.inputs.get(name)
            if not isinstance(was, Source) or pairs.get(given.node) != was.node:
                return True
        ours = {(reader, name) for reader, name, _ in self.looks.readers[0].get(before.id, ())}
        theirs = {(pairs.get(reader, ""), name) for reader, name, _ in self.looks.readers[1].get(key, ())}
        return ours != theirs or _own(node) != _own(before)

    def alike_readers(self, one: str, other: str) -> Iterator[tuple[str, str]]:
        """Nodes of the new graph that read two nodes in the same way."""
        theirs: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for reader, name, output in self.looks.readers[1].get(other, ()):
            theirs[name, str(output), self.new[reader].type].append(reader)
        for reader, name, output in self.looks.readers[1].get(one, ()):
            found = theirs.get((name, str(output), self.new[reader].type), [])
            if len(found) == 1:
                yield reader, found[0]

    def alike_sources(self, one: str, other: str) -> Iterator[tuple[str, str]]:
        """Nodes of the new graph that two nodes read in the same way."""
        for name, given in _links(self.new[one]):
            its = self.new[other].inputs.get(name)
            if isinstance(its, Source) and given.node in self.new and its.node in self.new:
                yield given.node, its.node

    def _left(self, side: Nodes) -> list[str]:
        gone: Mapping[str, str] | set[str] = self.pairs if side is self.new else self.taken
        return [key for key in side if key not in gone]

    def _waiting(self, before: Mapping[str, int]) -> Mapping[int, list[str]]:
        """Nodes of the old graph that have no partner, by their looks."""
        found: dict[int, list[str]] = defaultdict(list)
        for key in self._left(self.old):
            found[before[key]].append(key)
        return found

    def _pair_alike(self, before: Mapping[str, int], after: Mapping[str, int], *, clear: bool) -> None:
        """Pair nodes of equal looks, with `clear` only where there is no doubt."""
        waiting = self._waiting(before)
        left = [key for key in self._left(self.new) if after[key] in waiting]
        asking = Counter(after[key] for key in left)
        for key in left:
            if key in self.pairs:  # a neighbour has told by now
                continue
            choice = [each for each in waiting[after[key]] if each not in self.taken]
            if choice and (not clear or self._is_clear(key, choice, asking[after[key]])):
                self._pair_with_neighbours(key, self._best(key, choice), before, after)

    def _guess(self, before: Mapping[str, int], after: Mapping[str, int]) -> bool:
        """Pair two nodes of as many that are alike on both sides; which of them does not matter then."""
        waiting = self._waiting(before)
        left = [key for key in self._left(self.new) if after[key] in waiting]
        asking = Counter(after[key] for key in left)
        for key in left:
            choice = waiting[after[key]]
            if len(choice) == asking[after[key]]:
                self._pair_with_neighbours(key, self._best(key, choice), before, after)
                return True
        return False

    def _is_clear(self, key: str, choice: Sequence[str], asking: int) -> bool:
        """Whether there is one choice for one node, or one with more neighbours in common than all others."""
        if len(choice) == 1 and asking == 1:
            return True
        counts = sorted((self._agreement(key, before) for before in choice[:_FEW]), reverse=True)
        return counts[0] > 0 and (len(counts) == 1 or counts[0] > counts[1])

    def _best(self, key: str, choice: Sequence[str]) -> str:
        """Of nodes that are alike the one with the most neighbours in common, and of those the one of that id."""
        if len(choice) == 1:
            return choice[0]
        near = [key] if key in choice else []
        return max([*near, *choice[:_FEW]], key=lambda before: (self._agreement(key, before), before == key))

    def _agreement(self, key: str, before: str) -> int:
        """How many neighbours of two nodes are pairs."""
        old, new = self.old[before], self.new[key]
        count = 0
        for name, given in _links(new):
            was = old.inputs.get(name)
            count += isinstance(was, Source) and self.pairs.get(given.node) == was.node
        read_by = {(reader, name) for reader, name, _ in self.looks.readers[0].get(before, ())}
        for reader, name, _ in self.looks.readers[1].get(key, ()):
            count += (self.pairs.get(reader, ""), name) in read_by
        return count

    def _pair_with_neighbours(self, key: str, before: str, was: Mapping[str, int], now: Mapping[str, int]) -> None:
        """Pair two nodes, and those of their neighbours that are alike, and so on."""
        waiting = [(key, before)]
        while waiting:
            key, before = waiting.pop()
            if key in self.pairs or before in self.taken:
                continue
            self.pair_all([(key, before)])
            for other, earlier in self._neighbours(key, before):
                if other in now and earlier in was and now[other] == was[earlier]:
                    waiting.append((other, earlier))

    def _neighbours(self, key: str, before: str) -> Iterator[tuple[str, str]]:
        for name, given in _links(self.new[key]):
            was = self.old[before].inputs.get(name)
            if isinstance(was, Source):
                yield given.node, was.node
        ours: dict[tuple[str, str], list[str]] = defaultdict(list)
        for reader, name, output in self.looks.readers[0].get(before, ()):
            ours[name, str(output)].append(reader)
        for reader, name, output in self.looks.readers[1].get(key, ()):
            there = ours.get((name, str(output)), [])
            if len(there) == 1:
                yield reader, there[0]
            elif reader in there:
                yield reader, reader

    def _pair_by(self, look: Callable[[SheetNode], Hashable], *, least: int) -> None:
        """Pair nodes of one look that have the most neighbours in common; with none, only where there is one."""
        waiting: dict[Hashable, list[str]] = defaultdict(list)
        for key in self._left(self.old):
            waiting[look(self.old[key])].append(key)
        counts: dict[Hashable, int] = defaultdict(int)
        for key in self._left(self.new):
            counts[look(self.new[key])] += 1
        for key in self._left(self.new):
            its = look(self.new[key])
            choice = [each for each in waiting.get(its, ()) if each not in self.taken]
            if not choice:
                continue
            best = self._best(key, choice)
            only = len(choice) == 1 and counts[its] == 1
            if self._agreement(key, best) >= (0 if only else max(least, 1)):
                self.pair_all([(key, best)])
