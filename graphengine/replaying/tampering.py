"""What somebody changed in a file after it was saved: its pixels, or what it says about itself."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from graphengine.errors import FileRefused, GraphEngineError
from graphengine.replaying.carried import PROMPT, as_json, texts_in
from graphengine.replaying.edits import edits_between
from graphengine.replaying.likeness import Likeness
from graphengine.workflow.api_format import api_to_workflow, parse_api

_LONGEST = 80
_MOST = 5

Kind = Literal["metadata", "pixels", "bytes"]


@dataclass(frozen=True, slots=True)
class Tampering:
    """A change of a file since it was saved, in words."""

    kind: Kind
    told: str


def tampering(original: Path, replayed: Path, likeness: Likeness) -> list[Tampering]:
    """What differs in a file that is not as it was recorded, from the one that was made again as it was.

    Raises:
        FileRefused: one of them cannot be read.
    """
    found: list[Tampering] = []
    if likeness.level in ("tolerance", "different"):
        kind: Kind = "bytes" if likeness.psnr is None and "bytes differ" in likeness.told else "pixels"
        found.append(Tampering(kind, likeness.told))
    try:
        found += [Tampering("metadata", text) for text in _metadata(texts_in(original), texts_in(replayed))]
    except OSError as error:
        raise FileRefused(f"cannot read {error.filename}: {error.strerror}") from error
    if not found and likeness.level != "bytes":
        found.append(
            Tampering("bytes", "what it shows and says is as it was; it was written anew, or has more data")
        )
    return found


def _metadata(changed: dict[str, str], saved: dict[str, str]) -> Iterator[str]:
    """How the texts in a file differ from those that it was saved with."""
    before, after = as_json(saved), as_json(changed)
    for name in {**saved, **changed}:
        if name not in changed:
            yield f"the text {name!r} was removed"
        elif name not in saved:
            yield f"the text {name!r} was added: {_short(changed[name])}"
        elif name not in before or name not in after:
            if changed[name] != saved[name]:
                yield f"the text {name!r} was changed: {_short(saved[name])} → {_short(changed[name])}"
        elif before[name] != after[name]:
            yield from _documents(name, before[name], after[name])
        elif changed[name] != saved[name]:
            yield f"the text {name!r} was written anew; it says the same"


# Any: documents are open-ended JSON.
def _documents(name: str, saved: Any, changed: Any) -> Iterator[str]:
    told: list[str] = []
    if name == PROMPT:
        try:
            edits = edits_between(*(api_to_workflow(parse_api(each)) for each in (saved, changed)))
            told = [edit.told for edit in edits.all]
        except GraphEngineError:  # it is no workflow any more
            told = []
    told = told or list(_places(saved, changed))
    for text in told[:_MOST]:
        yield f"{name!r} was changed: {text}"
    if len(told) > _MOST:
        yield f"{name!r} was changed in {len(told) - _MOST} more places"


# Any: as above.
def _places(saved: Any, changed: Any) -> Iterator[str]:
    """Where two JSON values differ, each place with both values."""
    waiting = [("", saved, changed)]
    while waiting:
        place, one, other = waiting.pop()
        if one == other and type(one) is type(other):
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            keys = {**one, **other}
            waiting.extend((f"{place}.{key}", one.get(key), other.get(key)) for key in reversed(keys))
        elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            pairs = list(enumerate(zip(one, other, strict=True)))
            waiting.extend((f"{place}.{at}", before, after) for at, (before, after) in reversed(pairs))
        else:
            yield f"{place.lstrip('.') or 'all of it'}: {_short(json.dumps(one))} → {_short(json.dumps(other))}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
