"""Columns for the boxes of a graph: circles, connected parts, longest paths and the bends of long links.

Boxes are numbers here, and `readers[n]` are the boxes that read box n. Nothing recurses: graphs come from outside.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

# Bends cost time and memory; a part whose links pass more columns than this, per box, does without.
_MAX_BENDS_PER_BOX = 20


def order_without_cycles(readers: Sequence[list[int]]) -> list[int]:
    """All boxes, sources before what reads them; links that close a circle are taken out of `readers`."""
    finished: list[int] = []
    seen = [False] * len(readers)
    for root in range(len(readers)):
        if seen[root]:
            continue
        seen[root] = True
        path: list[tuple[int, Iterator[int]]] = [(root, iter(readers[root]))]
        while path:
            box, rest = path[-1]
            following = next((reader for reader in rest if not seen[reader]), None)
            if following is None:
                finished.append(box)
                path.pop()
            else:
                seen[following] = True
                path.append((following, iter(readers[following])))
    finished.reverse()
    rank = {box: index for index, box in enumerate(finished)}
    for box in finished:
        readers[box][:] = [reader for reader in readers[box] if rank[reader] > rank[box]]
    return finished


def connected_parts(order: Sequence[int], readers: Sequence[Sequence[int]]) -> list[list[int]]:
    """The boxes of each connected part in the given order; the part with the smallest number first."""
    near: list[list[int]] = [list(those) for those in readers]
    for box, those in enumerate(readers):
        for reader in those:
            near[reader].append(box)
    part_of = [-1] * len(readers)
    count = 0
    for start in range(len(readers)):
        if part_of[start] >= 0:
            continue
        part_of[start] = count
        waiting = deque([start])
        while waiting:
            for other in near[waiting.popleft()]:
                if part_of[other] < 0:
                    part_of[other] = count
                    waiting.append(other)
        count += 1
    parts: list[list[int]] = [[] for _ in range(count)]
    for box in order:
        parts[part_of[box]].append(box)
    return parts


def assign_columns(part: Sequence[int], readers: Sequence[Sequence[int]]) -> dict[int, int]:
    """The column of each box of a part, from 0; every link leads to a later column."""
    column = dict.fromkeys(part, 0)
    reads = dict.fromkeys(part, 0)
    for box in part:
        for reader in readers[box]:
            column[reader] = max(column[reader], column[box] + 1)
            reads[reader] += 1
    for box in reversed(part):
        if len(readers[box]) > reads[box]:
            column[box] = min(column[reader] for reader in readers[box]) - 1
    first = min(column.values())
    return {box: at - first for box, at in column.items()}


@dataclass(frozen=True, slots=True)
class Chain:
    """A part whose links lead from one column to the next: boxes, and bends (numbers above those of all boxes).

    `before` and `after` are the neighbours in the columns to the left and to the right, `bends` the bends of each
    link of the part that has some.
    """

    items: list[int]
    column_of: dict[int, int]
    before: dict[int, list[int]]
    after: dict[int, list[int]]
    bends: dict[tuple[int, int], list[int]]


def with_bends(part: Sequence[int], readers: Sequence[Sequence[int]], column_of: Mapping[int, int]) -> Chain:
    """The part with a bend in every column that a link passes; without bends if they would be too many."""
    items = list(part)
    columns = dict(column_of)
    before: dict[int, list[int]] = {box: [] for box in part}
    after: dict[int, list[int]] = {box: [] for box in part}
    bends: dict[tuple[int, int], list[int]] = {}
    next_number = len(readers)
    farthest = {box: max((columns[reader] for reader in readers[box]), default=0) for box in part}
    passed_columns = sum(columns[reader] - columns[box] - 1 for box in part for reader in readers[box])
    use_bends = passed_columns <= _MAX_BENDS_PER_BOX * len(part)
    for box in part:
        steps = [box]  # the box, and a bend in each column it passes
        for column in range(columns[box] + 1, farthest[box]) if use_bends else ():
            steps.append(next_number)
            items.append(next_number)
            columns[next_number] = column
            before[next_number], after[next_number] = [], []
            next_number += 1
        for left, right in pairwise(steps):
            after[left].append(right)
            before[right].append(left)
        for reader in readers[box]:
            passed = steps[: columns[reader] - columns[box]]
            after[passed[-1]].append(reader)
            before[reader].append(passed[-1])
            if len(passed) > 1:
                bends[box, reader] = passed[1:]
    return Chain(items, columns, before, after, bends)
