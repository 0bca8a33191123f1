"""What came of a replay, in words and as JSON."""

import math
from collections.abc import Iterator
from typing import Any

from graphengine.replaying.departures import Departure, suspects
from graphengine.replaying.likeness import Level, Likeness
from graphengine.replaying.replay import FileOutcome, Replay
from graphengine.replaying.walk import Walk

_LEVELS: dict[Level, str] = {
    "bytes": "identical bytes",
    "pixels": "identical pixels",
    "tolerance": "within tolerance",
    "different": "different",
}
_MOST = 8


def level_words(level: Level) -> str:
    """How messages call a level."""
    return _LEVELS[level]


def likeness_words(likeness: Likeness) -> str:
    """`different: PSNR 31.2 dB, largest difference 17; frame 0: 12 of 4096 pixels differ, …`."""
    parts = [_LEVELS[likeness.level]]
    if likeness.psnr is not None and math.isfinite(likeness.psnr):
        parts.append(f"PSNR {likeness.psnr:.1f} dB, largest difference {likeness.maximum:g}")
    if likeness.told:
        parts.append(likeness.told)
    head, *rest = parts
    return f"{head}: {'; '.join(rest)}" if rest else head


def replay_lines(replay: Replay) -> Iterator[str]:
    """The files, where the runs part, who is suspected, and the sum."""
    for each in replay.files:
        yield from _file_lines(each)
    if replay.walk is not None and replay.level != "bytes":
        yield from _walk_lines(replay.walk, replay)
    yield sum_line(replay)


def _file_lines(outcome: FileOutcome) -> Iterator[str]:
    again = "as it was recorded, made again: " if outcome.tampered else ""
    yield f"{outcome.original.path}: {again}{likeness_words(outcome.likeness)}"
    if outcome.state == "absent":
        what = (
            "another run saved its own file there" if outcome.original.is_replaced else "the file itself is gone"
        )
        yield f"  {what}; the record was compared"
    for change in outcome.tampered:
        yield f"  changed since it was saved, {change.kind}: {change.told}"


def _walk_lines(walk: Walk, replay: Replay) -> Iterator[str]:
    if replay.first is not None:
        yield f"first node whose output differs: {walk.label(replay.first)}"
        made = [node for node in walk.remade if node != replay.first]
        if made:
            yield f"  made in another way, which may be why: {_nodes(walk, made)}"
    elif walk.first is None and replay.level == "different":
        yield "all nodes of which digests are known gave the same"
    if walk.unknown:
        yield f"  not known: {_nodes(walk, walk.unknown)}"
    if replay.level == "different":
        for departure in suspects(replay.departures):
            yield f"  suspect: {departure.told()}"


def sum_line(replay: Replay) -> str:
    """One line: the level, what was counted, the time."""
    parts = [f"{len(replay.files)} file{'' if len(replay.files) == 1 else 's'}"]
    if replay.walk is not None:
        walk = replay.walk
        total = len(walk.same) + len(walk.differing) + len(walk.remade) + len(walk.unknown)
        parts.append(f"{len(walk.same)} of {total} nodes known to give the same")
    tampered = "; changed since it was saved" if replay.tampered else ""
    return f"{_LEVELS[replay.level]}{tampered}: {', '.join(parts)}, {replay.seconds:.1f} s"


def short_words(replay: Replay) -> str:
    """The outcome in half a line, for a list of many."""
    words = _LEVELS[replay.level]
    if replay.first is not None and replay.walk is not None:
        words += f", first at {replay.walk.label(replay.first)}"
    if replay.level == "different" and replay.departures:
        words += f"; {suspects(replay.departures)[0].told()}"
    for path, change in replay.tampered[:1]:
        words += f"; {path.name} was changed since ({change.kind}): {change.told}"
    return words


def _nodes(walk: Walk, ids: tuple[str, ...] | list[str]) -> str:
    named = ", ".join(walk.label(node_id) for node_id in ids[:_MOST])
    return named if len(ids) <= _MOST else f"{named} and {len(ids) - _MOST} more"


# Any: what `json` writes.
def replay_json(replay: Replay) -> dict[str, Any]:
    """The replay as a JSON object."""
    walk = replay.walk
    return {
        "what": replay.subject.name,
        "run": replay.subject.run.id if replay.subject.run is not None else None,
        "level": replay.level,
        "holds": replay.holds,
        "seconds": round(replay.seconds, 3),
        "files": [_file_json(each) for each in replay.files],
        "first": _node_json(walk, replay.first) if walk is not None and replay.first is not None else None,
        "nodes": None
        if walk is None
        else {
            "same": list(walk.same),
            "different": list(walk.differing),
            "made_otherwise": list(walk.remade),
            "unknown": list(walk.unknown),
        },
        "departures": [_departure_json(each) for each in replay.departures],
        "notes": list(replay.subject.notes),
    }


def _file_json(outcome: FileOutcome) -> dict[str, Any]:
    original = outcome.original
    return {
        "path": str(original.path),
        "node_id": original.node_id,
        "sha256": original.sha256,
        "state": outcome.state,
        **outcome.likeness.to_json(),
        "tampered": [{"kind": each.kind, "told": each.told} for each in outcome.tampered],
    }


def _node_json(walk: Walk, node_id: str) -> dict[str, Any]:
    return {"node_id": node_id, "label": walk.label(node_id)}


def _departure_json(departure: Departure) -> dict[str, Any]:
    return {
        "part": departure.part,
        "name": departure.name,
        "then": departure.then,
        "now": departure.now,
        "nodes": list(departure.nodes),
        "files": list(departure.files),
        "told": departure.told(),
    }
