"""Difference and merge of workflows, tried on all documents of a folder.

    python benchmarks/diff_merge.py [FOLDER] [--definitions FILE] [--rounds N] [--merges N]

For each document of the editor: it is moved, reordered and renumbered in ways that do not change its meaning, and
the difference must be empty; then one edit that means something is made, alone and on top of those, and the
difference must name exactly that.

Then pairs of edit scripts are merged: of different things, the merge must be clean and equal to applying both; of
the same thing, it must tell a conflict there. Whatever comes out must have no error, of its conversion or of its
nodes by their definitions, that neither side had.
"""

import argparse
import copy
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graphengine.cli.definitions import read_definitions
from graphengine.cli.merge_checks import new_problems
from graphengine.errors import GraphEngineError
from graphengine.node.definition import NodeDefinition
from graphengine.workflow.canonical import canonical, is_ui, read_raw
from graphengine.workflow.difference.changes import Difference, compare
from graphengine.workflow.difference.sheets import sheets_of_ui
from graphengine.workflow.merging.documents import merge_documents
from graphengine.workflow.ui_models import parse_ui

# Any: documents are open-ended JSON.
Json = dict[str, Any]
Definitions = Mapping[str, NodeDefinition]


def graphs(raw: Json) -> list[Json]:
    """The document and its subgraphs."""
    return [raw, *((raw.get("definitions") or {}).get("subgraphs") or [])]


def move(raw: Json, chance: random.Random) -> None:
    """Drag nodes about, resize and colour them."""
    for graph in graphs(raw):
        for node in graph["nodes"]:
            node["pos"] = [chance.uniform(-999, 999), chance.randrange(999)]
            if chance.random() < 0.3:
                node["color"] = "#223344"
    raw.setdefault("extra", {})["ds"] = {"scale": chance.random(), "offset": [0, 0]}


def reorder(raw: Json, chance: random.Random) -> None:
    """Put nodes and links in another order."""
    for graph in graphs(raw):
        chance.shuffle(graph["nodes"])
        if isinstance(graph.get("links"), list):
            chance.shuffle(graph["links"])


def renumber(raw: Json, chance: random.Random) -> None:
    """Give new ids to nodes and links; not to documents whose other parts name ids in ways of packs."""
    extra = raw.get("extra") or {}
    if extra.get("ue_links") or extra.get("links_added_by_ue"):
        return
    inside: dict[str, dict[str, int]] = {}
    for graph in reversed(graphs(raw)):
        numbers = list(range(1, 3 * len(graph["nodes"]) + 1))
        chance.shuffle(numbers)
        ids = {str(node["id"]): number for node, number in zip(graph["nodes"], numbers, strict=False)}
        if len(ids) != len(graph["nodes"]):
            return
        inside[str(graph.get("id"))] = ids
        links = [link for link in graph.get("links") or [] if link is not None]
        keys = [str(link[0] if isinstance(link, list) else link["id"]) for link in links]
        if len(set(keys)) != len(keys):
            continue
        shuffled = list(range(1, len(keys) + 1))
        chance.shuffle(shuffled)
        _renumber(graph, ids, dict(zip(keys, shuffled, strict=True)))
    for graph in graphs(raw):
        for node in graph["nodes"]:
            rows = (node.get("properties") or {}).get("proxyWidgets") or []
            for row in rows:
                row[0] = str(inside.get(node["type"], {}).get(str(row[0]), row[0]))


def _renumber(graph: Json, ids: Mapping[str, int], links: Mapping[str, int]) -> None:
    for node in graph["nodes"]:
        node["id"] = ids[str(node["id"])]
        for slot in node.get("inputs") or []:
            if slot.get("link") is not None:
                slot["link"] = links.get(str(slot["link"]), 10**6 + len(links))
        for slot in node.get("outputs") or []:
            slot["links"] = [links[str(each)] for each in slot.get("links") or [] if str(each) in links]
    for slot in [*(graph.get("inputs") or []), *(graph.get("outputs") or [])]:
        slot["linkIds"] = [links[str(each)] for each in slot.get("linkIds") or [] if str(each) in links]
    for link in graph.get("links") or []:
        if isinstance(link, list):
            link[0], link[1], link[3] = links[str(link[0])], _new(ids, link[1]), _new(ids, link[3])
        elif link is not None:
            link["id"] = links[str(link["id"])]
            link["origin_id"], link["target_id"] = _new(ids, link["origin_id"]), _new(ids, link["target_id"])


def _new(ids: Mapping[str, int], id_: object) -> object:
    return ids.get(str(id_), id_ if str(id_) in ("-10", "-20") else 10**6)


def difference(old: Json, new: Json, known: Definitions) -> Difference:
    """What differs between two documents."""
    return compare(sheets_of_ui(parse_ui(old), known), sheets_of_ui(parse_ui(new), known))


def values_that_count(raw: Json, known: Definitions) -> list[tuple[str, str, Json, int]]:
    """Widget values that a difference shows: graph, id of the node, its list of values and the place in it."""
    sheets = sheets_of_ui(parse_ui(raw), known)
    found = []
    for graph in graphs(raw):
        key = "" if graph is raw else str(graph["id"])
        for node in graph["nodes"]:
            values = node.get("widgets_values")
            sheet = sheets[key].nodes.get(str(node["id"]))
            if sheet is None or not isinstance(values, list):
                continue
            given = list(sheet.inputs.values())
            for at, value in enumerate(values):
                if isinstance(value, int | float) and not isinstance(value, bool) and value in given:
                    found.append((key, str(node["id"]), node, at))
    return found


def edit_value(raw: Json, known: Definitions, chance: random.Random) -> str | None:
    """Change one number; gives the node, or None when there is none to change."""
    places = values_that_count(raw, known)
    chance.shuffle(places)
    for _, id_, node, at in places[:6]:
        before = copy.deepcopy(raw)
        node["widgets_values"][at] += 7919
        if difference(before, raw, known):
            return id_
        node["widgets_values"][at] -= 7919
    return None


def edit_title(raw: Json, known: Definitions, chance: random.Random) -> str | None:
    """Rename one node; gives it."""
    nodes = [node for node in raw["nodes"] if node["type"] != "Reroute"]
    if not nodes:
        return None
    node = chance.choice(nodes)
    node["title"] = f"{node.get('title') or ''} renamed"
    return str(node["id"])


def edit_mode(raw: Json, known: Definitions, chance: random.Random) -> str | None:
    """Mute one node, or end that; gives it."""
    nodes = [node for node in raw["nodes"] if node["type"] != "Reroute"]
    if not nodes:
        return None
    node = chance.choice(nodes)
    node["mode"] = 0 if node.get("mode") == 2 else 2
    return str(node["id"])


def cut_link(raw: Json, known: Definitions, chance: random.Random) -> str | None:
    """Take one link away; gives the node that it fed."""
    fed = [
        (node, slot)
        for node in raw["nodes"]
        for slot in node.get("inputs") or []
        if slot.get("link") is not None and node["type"] != "Reroute" and slot.get("widget") is None
    ]
    if not fed:
        return None
    before = copy.deepcopy(raw)
    node, slot = chance.choice(fed)
    slot["link"] = None
    return str(node["id"]) if difference(before, raw, known) else None


EDITS: tuple[Callable[[Json, Definitions, random.Random], str | None], ...] = (
    edit_value,
    edit_title,
    edit_mode,
    cut_link,
)


def named(found: Difference) -> list[str]:
    """The nodes of a difference, by the ids of the old document."""
    return [(change.old or change.node).id for graph in found.changes for change in graph.nodes]


def check_differences(files: Mapping[str, Json], known: Definitions, rounds: int, chance: random.Random) -> bool:
    """Print how many documents showed what they should; says whether all did."""
    unchanged = exact = of_edits = of_unchanged = 0
    spent = 0.0
    for name, raw in files.items():
        for _ in range(rounds):
            other = copy.deepcopy(raw)
            for change in (move, reorder, renumber):
                change(other, chance)
            start = time.process_time()
            found = difference(raw, other, known)
            spent += time.process_time() - start
            of_unchanged += 1
            unchanged += not found
            if found:
                print(f"{name}: {len(named(found))} nodes differ after moves and new numbers")
            for edit in EDITS:
                edited = copy.deepcopy(raw)
                node = edit(edited, known, chance)
                if node is None:
                    continue
                of_edits += 1
                also_renumbered = copy.deepcopy(edited)
                renumber(also_renumbered, chance)
                seen = [named(difference(raw, each, known)) for each in (edited, also_renumbered)]
                right = all(each == [node] for each in seen)
                exact += right
                if not right:
                    print(f"{name}: {edit.__name__} of {node} is told as {seen}")
    print(f"no change told for {unchanged} of {of_unchanged}, the one edit told exactly for {exact} of {of_edits}")
    print(f"one difference takes {1000 * spent / max(of_unchanged, 1):.1f} ms of CPU")
    return unchanged == of_unchanged and exact == of_edits


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of the graph outside of subgraphs: what is done, to which node, and the nodes that it touches."""

    kind: str
    node: str
    place: int
    value: Any
    touches: frozenset[str]

    def apply(self, raw: Json) -> None:
        """Make the edit."""
        node = next(node for node in raw["nodes"] if str(node["id"]) == self.node)
        match self.kind:
            case "value":
                node["widgets_values"][self.place] = self.value
            case "title" | "mode" | "pos":
                node[self.kind] = self.value
            case "cut":
                cut(raw, node, self.place)
            case _:
                for other in raw["nodes"]:
                    for at, slot in enumerate(other.get("inputs") or []):
                        link = slot.get("link")
                        if any(row[0] == link and str(row[1]) == self.node for row in raw["links"]):
                            cut(raw, other, at)
                for at in range(len(node.get("inputs") or [])):
                    cut(raw, node, at)
                raw["nodes"].remove(node)


def cut(raw: Json, node: Json, at: int) -> None:
    """Take a link away, at both ends."""
    id_ = node["inputs"][at].get("link")
    node["inputs"][at]["link"] = None
    raw["links"] = [row for row in raw["links"] if row[0] != id_]
    for other in raw["nodes"]:
        for slot in other.get("outputs") or []:
            slot["links"] = [each for each in slot.get("links") or [] if each != id_]


def edits_of(raw: Json, chance: random.Random) -> list[Edit]:
    """Edits that can be made to a document, in a random order."""
    found: list[Edit] = []
    near: dict[str, set[str]] = {str(node["id"]): {str(node["id"])} for node in raw["nodes"]}
    for row in raw["links"]:
        for one, other in ((str(row[1]), str(row[3])), (str(row[3]), str(row[1]))):
            near.setdefault(one, set()).add(other)
    for node in raw["nodes"]:
        id_ = str(node["id"])
        own = frozenset({id_})
        values = node.get("widgets_values")
        for at, value in enumerate(values if isinstance(values, list) else ()):
            if isinstance(value, int | float) and not isinstance(value, bool):
                found.append(Edit("value", id_, at, value + 7919, own))
        found.append(Edit("title", id_, 0, f"{node.get('title') or ''} renamed", own))
        found.append(Edit("mode", id_, 0, 0 if node.get("mode") == 2 else 2, own))
        found.append(Edit("pos", id_, 0, [chance.randrange(999), 5], own))
        found += [
            Edit("cut", id_, at, None, own)
            for at, slot in enumerate(node.get("inputs") or [])
            if slot.get("link") is not None
        ]
        found.append(Edit("delete", id_, 0, None, frozenset(near[id_])))
    chance.shuffle(found)
    return found


def script(edits: list[Edit], taken: set[str], count: int) -> list[Edit]:
    """Some edits that touch nothing that is taken, which they take."""
    chosen: list[Edit] = []
    for edit in edits:
        if len(chosen) < count and not edit.touches & taken:
            chosen.append(edit)
            taken |= edit.touches
    return chosen


def edited(raw: Json, *scripts: list[Edit]) -> Json:
    """A copy of a document with edits made."""
    made = copy.deepcopy(raw)
    for each in scripts:
        for edit in each:
            edit.apply(made)
    return made


def check_merges(files: Mapping[str, Json], known: Definitions, count: int, chance: random.Random) -> bool:
    """Print how many merges came out right; says whether all did."""
    plain = {name: canonical(raw) for name, raw in files.items()}
    fit = [name for name, raw in plain.items() if all(isinstance(row, list) for row in raw.get("links") or [])]
    clean = clashes = clean_right = clash_right = valid = 0
    spent = 0.0
    for _ in range(count):
        name = chance.choice(fit)
        raw = plain[name]
        edits, taken = edits_of(raw, chance), set[str]()
        mine, others = script(edits, taken, chance.randint(1, 4)), script(edits, taken, chance.randint(1, 4))
        contested = [edit for edit in mine if edit.kind in ("value", "title")]
        is_clash = bool(contested) and chance.random() < 0.5
        if is_clash:
            edit = chance.choice(contested)
            others.append(replace(edit, value=f"{edit.value}!" if edit.kind == "title" else edit.value + 1))
        ours, theirs = edited(raw, mine), edited(raw, others)
        start = time.process_time()
        merged = merge_documents(raw, ours, theirs, known)
        spent += time.process_time() - start
        found = new_problems(merged.document, [raw, ours, theirs], known)
        new = [str(problem) for problem in found if problem.severity == "error"]
        valid += not new
        if is_clash:
            clashes += 1
            right = [conflict.node for conflict in merged.conflicts] == [edit.node]
            clash_right += right
        else:
            clean += 1
            right = not merged.conflicts and not difference(merged.document, edited(raw, mine, others), known)
            clean_right += right
        if new or not right:
            told = [conflict.to_json() for conflict in merged.conflicts]
            print(f"{name}: {mine} and {others}: {told} {new}"[:600])
    print(f"merged clean and equal to both: {clean_right} of {clean}; conflicts told: {clash_right} of {clashes}")
    print(f"valid: {valid} of {count}; one merge takes {1000 * spent / max(count, 1):.1f} ms of CPU")
    return clean_right == clean and clash_right == clashes and valid == count


def read_folder(folder: Path) -> dict[str, Json]:
    """The editor's documents below a folder."""
    found: dict[str, Json] = {}
    for file in sorted(folder.rglob("*.json")):
        try:
            raw = read_raw(file.read_bytes())
        except GraphEngineError:
            continue
        if is_ui(raw):
            found[str(file.relative_to(folder))] = raw
    return found


def main() -> int:
    """Run the checks and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parents[1] / "workflows")
    parser.add_argument("--definitions", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--merges", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    known = read_definitions(options.definitions) if options.definitions else {}
    files = read_folder(options.folder)
    nodes = sum(len(graph["nodes"]) for raw in files.values() for graph in graphs(raw))
    print(f"{len(files)} documents, {nodes} nodes")
    chance = random.Random(options.seed)
    right = [
        check_differences(files, known, options.rounds, chance),
        check_merges(files, known, options.merges, chance),
    ]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
