"""Causes as sentences."""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import PurePath

from pydantic import JsonValue

from graphengine.provenance.causes import Cause
from graphengine.provenance.record import Snapshot

_SHORT = 40  # characters of a text that are shown whole
_AROUND = 3  # words around a change that are shown
_MOST_WORDS = 1000
_REMOVED = {
    "gc": "was removed by cache gc",
    "cleared": "was removed as the cache was cleared",
    "damaged": "was damaged and dropped",
}
_ALWAYS = {
    "": "its IS_CHANGED says that it changed",
    "not pure": "its class says that its results do not follow from its inputs",
    "a link names its file": "which file it reads is known only when the node before it has run",
}
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def cause_text(cause: Cause, snapshot: Snapshot, now: float) -> str:
    """The cause as a sentence without a full stop; `now` is the present in seconds since 1970."""
    label = ", ".join(snapshot.label(node_id) for node_id in cause.nodes[:1])
    when = date_text(cause.at, now) if cause.at is not None else ""
    match cause.kind:
        case "changed":
            return _changed(cause, label)
        case "new":
            return f"{label} never ran with this workflow"
        case "first run":
            return "no earlier run of this workflow is recorded"
        case "unfinished":
            return f"the run {when} ended before {label}"
        case "failed":
            return f"{label} failed in the run {when}: {cause.text.removeprefix(f'{label}: ')}"
        case "always":
            return f"{label} always runs: {_ALWAYS.get(cause.text, _ALWAYS[''])}"
        case "asks":
            return f"{label} has an IS_CHANGED, and only its code can tell what it answers"
        case "unkeyed":
            return f"{label} always runs: an input of it has no content hash"
        case "file gone":
            return f"what {label} saved, {cause.text}, is gone or was changed"
        case _:
            return _rare(cause, label, when)


def _rare(cause: Cause, label: str, when: str) -> str:
    match cause.kind:
        case "evicted":
            return f"the result of {label} {_REMOVED.get(cause.text, 'was evicted')} {when}"
        case "not stored" if cause.text:
            return f"the result of {label} is never kept, as its class says"
        case "not stored":
            return f"the result of {label} is not of a kind that the cache keeps"
        case "not kept":
            return f"the result of {label} is not in this cache any more; it was there {when}"
        case "other version":
            return f"graphengine was {cause.old}, is {cause.new}, which makes keys in another way"
        case "secret":
            return f"{cause.text} of {label} may have changed; secrets are not recorded"
        case _:
            return f"the key of {label} changed, and the records do not tell in what"


def date_text(at: float, now: float) -> str:
    """A time as people say it: `today at 14:03`, `on 12 March`, `on 12 March 2025`."""
    then, present = time.localtime(at), time.localtime(now)
    if then[:3] == present[:3]:
        return f"today at {then.tm_hour}:{then.tm_min:02}"
    day = f"on {then.tm_mday} {_MONTHS[then.tm_mon - 1]}"
    return day if then.tm_year == present.tm_year else f"{day} {then.tm_year}"


def _changed(cause: Cause, label: str) -> str:
    kind, _, name = cause.part.partition(":")
    match kind:
        case "input":
            return f"{name} of {label} {value_change(cause.old, cause.new)}"
        case "link":
            return f"{name} of {label} {_origin(cause.old)} and {_origin(cause.new, is_now=True)}"
        case "class":
            return f"node {cause.nodes[0]} was a {cause.old}, is a {cause.new}"
        case "code":
            return _code(cause, name)
        case "package":
            return f"{name} was {cause.old or 'not counted'}, is {cause.new or 'not counted'}"
        case "file" | "path":
            return _file(cause, name, label)
        case _:
            return _changed_rarely(cause, kind, name, label)


def _changed_rarely(cause: Cause, kind: str, name: str, label: str) -> str:
    match kind:
        case "embedding":
            return _file(replace(cause, text=name), name, label)
        case "embeddings":
            return f"an embedding that {label} may read has other bytes"
        case "always":
            return f"{label} ran every time before, and does not any more"
        case "IS_CHANGED":
            return f"IS_CHANGED of {label} answers something else"
        case _:
            return f"{cause.part} was {cause.old or 'not counted'}, is {cause.new or 'not counted'}"


def _code(cause: Cause, path: str) -> str:
    pack = cause.module.removeprefix("custom_nodes.") or "the node"
    if not path:
        return f"code of {pack} changed"
    if cause.old is None:
        return f"code of {pack} has {path} more"
    return f"code of {pack} has {path} no more" if cause.new is None else f"code of {pack} changed in {path}"


def _file(cause: Cause, name: str, label: str) -> str:
    file = PurePath(cause.text).name or f"the file in {name} of {label}"
    if cause.new == "absent":
        return f"{file} is not there any more"
    return f"{file} is there again" if cause.old == "absent" else f"{file} has other bytes"


def _origin(value: JsonValue, *, is_now: bool = False) -> str:
    match value:
        case [str(source), int(output)]:
            text = f"node {source}, output {output}"
            return f"comes from {text}" if is_now else f"came from {text}"
        case None:
            return "is left out" if is_now else "was left out"
        case _:
            return f"{'is' if is_now else 'was'} {_value(value)}"


def value_change(old: JsonValue, new: JsonValue) -> str:
    """What changed about a value: `changed 42 → 43`; of a long text, the words."""
    if old is None or new is None:
        return f"was left out, is {_value(new)}" if old is None else f"was {_value(old)}, is left out"
    if isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > _SHORT:
        return f"changed: {word_changes(old, new)}"
    return f"changed {_value(old)} → {_value(new)}"


def _value(value: JsonValue) -> str:
    text = f'"{value}"' if isinstance(value, str) else _json(value)
    return text if len(text) <= 2 * _SHORT else f"{text[:_SHORT]}…{text[-8:]}"


def _json(value: JsonValue) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def word_changes(old: str, new: str) -> str:
    """The words that changed with those around them: `photo of a [-red-] {+blue+} fox in the`."""
    before, after = _words(old), _words(new)
    if max(len(before), len(after)) > _MOST_WORDS:
        return f"{len(before)} words became {len(after)}"
    parts: list[str] = []
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    for index, (tag, start, end, new_start, new_end) in enumerate(steps):
        if tag == "equal":
            parts += _around(before[start:end], is_first=index == 0, is_last=index == len(steps) - 1)
            continue
        parts += [f"[-{' '.join(before[start:end])}-]"] if end > start else []
        parts += [f"{{+{' '.join(after[new_start:new_end])}+}}"] if new_end > new_start else []
    if before == after:
        return "in spaces or line breaks only"
    return " ".join(parts)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]+", text)


def _around(words: Sequence[str], *, is_first: bool, is_last: bool) -> list[str]:
    """Words that did not change, but the ones next to a change left out."""
    head = [] if is_first else list(words[:_AROUND])
    tail = [] if is_last else list(words[max(len(words) - _AROUND, len(head)) :])
    gap = ["…"] if len(head) + len(tail) < len(words) else []
    return [*head, *gap, *tail]
