"""Two runs as a page that stands alone: what differs, the timings, and the pictures side by side."""

from collections.abc import Iterable, Iterator
from math import isinf

from graphengine.cli.run_changes import change_lines, node_labels
from graphengine.cli.run_pictures import ShownPair, ShownPicture
from graphengine.graph.xml_text import escaped
from graphengine.provenance.history.comparison import NodePair, RunComparison
from graphengine.provenance.history.past_run import PastNode, PastRun
from graphengine.provenance.history.words import counts, set_texts, when

_STYLE = (
    "body{font:14px Helvetica,Arial,sans-serif;margin:24px;color:#1d2129;max-width:1400px}"
    "h1{font-size:20px}h2{font-size:16px;margin-top:28px}"
    "table{border-collapse:collapse}td,th{padding:3px 12px 3px 0;text-align:left;vertical-align:top}"
    "th{color:#65707f;font-weight:normal}.n{text-align:right;font-variant-numeric:tabular-nums}"
    ".f{display:flex;gap:16px;flex-wrap:wrap;margin:0 0 20px}figure{margin:0;flex:1 1 240px;max-width:460px}"
    "img{width:100%;image-rendering:pixelated;border:1px solid #c3c8d0;background:#eee}"
    "figcaption{color:#65707f;padding:4px 0}.x{border:1px dashed #c3c8d0;color:#65707f;padding:60px 12px;"
    "text-align:center}pre{background:#f5f6f8;padding:10px;white-space:pre-wrap;overflow-wrap:anywhere}"
    ".a{color:#2c7a2c}.r{color:#b3261e}.c{color:#a05a00}.b{display:block;height:7px;border-radius:2px;"
    "margin:1px 0;min-width:1px}.o{background:#9aa7b8}.w{background:#2f6fd0}.t{width:320px}"
)
_CLASSES = {"+": "a", "-": "r", "~": "c"}


def run_page(comparison: RunComparison, pictures: Iterable[ShownPair]) -> str:
    """The page: no scripts, nothing loaded."""
    title = f"{comparison.old.id} and {comparison.new.id}"
    parts = [
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Runs {escaped(title)}</title>',
        f"<style>{_STYLE}</style></head><body><h1>Two runs compared</h1>",
        *_heads(comparison),
        "<h2>What differs</h2>",
        _changes(comparison),
        "<h2>Outputs</h2>",
        *_outputs(pictures),
        "<h2>Nodes</h2>",
        *_nodes(comparison),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _heads(comparison: RunComparison) -> Iterator[str]:
    yield "<table><tr><th></th><th>before</th><th>after</th></tr>"
    for before, after in zip(_facts(comparison.old), _facts(comparison.new), strict=True):
        cells = f"<td>{escaped(before[1])}</td><td>{escaped(after[1])}</td>"
        yield f"<tr><th>{escaped(before[0])}</th>{cells}</tr>"
    yield "</table>"


def _facts(run: PastRun) -> Iterator[tuple[str, str]]:
    yield "run", run.id
    yield "started", when(run.started)
    yield "ended", f"{run.status} after {run.seconds:.2f} s; {counts(run)}"
    yield "workflow", run.file or "(no file)"
    yield "set", ", ".join(set_texts(run)) or "nothing"
    machine = run.machine
    yield "on", f"graphengine {machine.graphengine}, torch {machine.torch or 'none'}, {machine.device}"


def _changes(comparison: RunComparison) -> str:
    lines = list(change_lines(comparison))
    if not lines:
        return "<p>Nothing that is recorded.</p>"
    rows = (f'<span class="{_CLASSES.get(line[0], "")}">{escaped(line)}</span>' for line in lines)
    return "<pre>" + "\n".join(rows) + "</pre>"


def _outputs(pictures: Iterable[ShownPair]) -> Iterator[str]:
    is_empty = True
    for shown in pictures:
        is_empty = False
        yield f"<p>Node {escaped(shown.pair.node_id)}: {escaped(_verdict(shown))}</p>"
        old, new = shown.pair.old, shown.pair.new
        figures = [_figure(shown.old, f"before: {old.path}" if old else "before")]
        figures.append(_figure(shown.new, f"after: {new.path}" if new else "after"))
        if shown.difference is not None:
            figures.append(_figure(shown.difference, "difference"))
        yield f'<div class="f">{"".join(figures)}</div>'
    if is_empty:
        yield "<p>Neither run saved a file.</p>"


def _verdict(shown: ShownPair) -> str:
    told: str = shown.pair.agreement
    if shown.largest == 0:
        return f"{told}, all pixels equal"
    if shown.psnr is not None and not isinf(shown.psnr):
        return f"{told}, PSNR {shown.psnr:.1f} dB, largest difference {shown.largest} of 255"
    return told


def _figure(picture: ShownPicture, caption: str) -> str:
    inner = f'<div class="x">{escaped(picture.note)}</div>'
    if picture.source:
        inner = f'<img src="{picture.source}" alt="{escaped(caption)}">'
        caption = f"{caption}, {picture.note}"
    return f"<figure>{inner}<figcaption>{escaped(caption)}</figcaption></figure>"


def _nodes(comparison: RunComparison) -> Iterator[str]:
    longest = max((_seconds(node) for pair in comparison.nodes for node in (pair.old, pair.new)), default=0.0)
    titles = {**node_labels(comparison.old_workflow), **node_labels(comparison.new_workflow)}
    yield (
        '<table><tr><th>node</th><th>type</th><th>title</th><th class="n">before</th><th class="n">after</th>'
        '<th class="t"></th><th>result</th></tr>'
    )
    for pair in comparison.nodes:
        bars = "".join(
            f'<span class="b {name}" style="width:{100 * _seconds(node) / (longest or 1.0):.1f}%"></span>'
            for name, node in (("o", pair.old), ("w", pair.new))
            if _seconds(node) > 0.0
        )
        cells = (pair.node_id, pair.class_type, titles.get(pair.node_id, ""))
        told = "".join(f"<td>{escaped(cell)}</td>" for cell in cells)
        spent = "".join(f'<td class="n">{escaped(_spent(node))}</td>' for node in (pair.old, pair.new))
        yield f'<tr>{told}{spent}<td class="t">{bars}</td><td>{escaped(_result(pair, comparison))}</td></tr>'
    yield "</table>"


def _seconds(node: PastNode | None) -> float:
    return (node.seconds or 0.0) if node is not None else 0.0


def _spent(node: PastNode | None) -> str:
    if node is None:
        return "not there"
    return node.state if node.seconds is None else f"{node.seconds:.2f} s"


def _result(pair: NodePair, comparison: RunComparison) -> str:
    if pair.is_same is None:
        return ""
    first = " (the first)" if pair.node_id == comparison.first else ""
    return "same" if pair.is_same else f"different{first}"
