"""Replays as a page that stands alone: each file as it was, as it came out again, and what differs."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from graphengine.graph.xml_text import escaped
from graphengine.replaying.contents import Undecodable, kind_of_content, parts_of
from graphengine.replaying.replay import FileOutcome, Replay
from graphengine.replaying.words import likeness_words, replay_lines

_LARGEST = 1024  # pixels of the longer side of a picture that is shown
_STYLE = (
    "body{font:14px Helvetica,Arial,sans-serif;margin:16px;color:#1d2129}"
    "section{border-top:1px solid #c3c8d0;margin-top:16px}"
    ".s{display:flex;gap:12px;flex-wrap:wrap}figure{margin:0}figcaption{color:#5a6270}"
    "img{max-width:100%;min-width:192px;image-rendering:pixelated;border:1px solid #c3c8d0}"
    "pre{background:#f5f6f8;padding:10px;white-space:pre-wrap}.bad{color:#b3261e}.good{color:#2c7a2c}"
)


def replay_page(replays: Iterable[Replay]) -> str:
    """The page; the files of a replay must still be there. No scripts, nothing loaded."""
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Replay</title>'
        f"<style>{_STYLE}</style></head><body><h1>Replay</h1>"
    ]
    for replay in replays:
        colour = "good" if replay.holds else "bad"
        parts.append(f'<section><h2 class="{colour}">{escaped(replay.subject.name)}</h2>')
        told = [
            *replay.subject.notes,
            *(departure.told() for departure in replay.departures),
            *replay_lines(replay),
        ]
        parts.append("<pre>" + "\n".join(map(escaped, told)) + "</pre>")
        parts.extend(_figures(each) for each in replay.files)
        parts.append("</section>")
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _figures(outcome: FileOutcome) -> str:
    shown: list[tuple[str, Any]] = []
    differs = outcome.likeness.level != "bytes" or bool(outcome.tampered)
    for name, path in (("as it is", outcome.original.path), ("made again", outcome.replayed)):
        levels = _levels(path) if path is not None else None
        if levels is not None:
            shown.append((name, levels))
    if len(shown) == 2 and shown[0][1].shape == shown[1][1].shape and differs:
        shown.append(("difference, as light as can be", _difference(shown[0][1], shown[1][1])))
    figures = "".join(_figure(name, levels) for name, levels in shown)
    is_good = outcome.likeness.level != "different" and not outcome.tampered
    said = likeness_words(outcome.likeness)
    said = f"changed since it was saved; made again: {said}" if outcome.tampered else said
    words = f'<span class="{"good" if is_good else "bad"}">{escaped(said)}</span>'
    head = f"<h3>{escaped(str(outcome.original.path))}: {words}</h3>"
    return head + (f'<div class="s">{figures}</div>' if figures else "")


# Any: arrays of levels, uint8 (height, width, channels).
def _levels(path: Path) -> Any:
    """The first frame of a picture or video, None for what shows none."""
    try:
        kind = kind_of_content(path)
        if kind not in ("picture", "media"):
            return None
        part = next(_frames(path, kind), None)
    except (OSError, Undecodable):
        return None
    if part is None or part.values.dtype != "uint8":
        return None
    return part.values


def _frames(path: Path, kind: Any) -> Iterator[Any]:
    return (part for part in parts_of(path, kind) if not part.name.startswith("sound"))


def _difference(one: Any, other: Any) -> Any:
    """How far each level is off, the largest at 255."""
    import numpy as np  # few commands draw

    gap = np.abs(one.astype("int16") - other.astype("int16"))[..., :3]
    return (gap * (255.0 / max(int(gap.max()), 1))).astype("uint8")


def _figure(name: str, levels: Any) -> str:
    from PIL import Image  # few commands draw

    picture = Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)
    picture.thumbnail((_LARGEST, _LARGEST))
    file = BytesIO()
    picture.save(file, "PNG")
    data = b64encode(file.getvalue()).decode("ascii")
    size = f"{levels.shape[1]} by {levels.shape[0]}"
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{escaped(name)}">'
        f"<figcaption>{escaped(name)}, {size}</figcaption></figure>"
    )
