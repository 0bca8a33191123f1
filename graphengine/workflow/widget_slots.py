"""Input slots that editors leave behind: a second slot of a widget, and links that do not exist."""

from collections.abc import Sequence
from typing import Any

# Any throughout: documents are open-ended JSON.
Json = dict[str, Any]


def without_stale_slots(nodes: Sequence[Json], links: Sequence[Any]) -> tuple[list[Json], list[Any]]:
    """Nodes and links without stale slots; what is not changed is the same object.

    A slot is stale when it stands for a widget that an earlier slot of the node stands for and nothing is linked
    to it; the slots after it move up, and their links with them. A single slot without a link is kept: it names a
    value of a node whose type is not known.
    """
    moved: dict[tuple[str, int], int] = {}
    made = [_cleaned(node, moved) for node in nodes]
    return made, [_moved(link, moved) for link in links] if moved else list(links)


def _cleaned(node: Json, moved: dict[tuple[str, int], int]) -> Json:
    slots = node.get("inputs")
    if not isinstance(slots, list):
        return node
    kept: list[Any] = []
    seen: set[str] = set()
    for index, slot in enumerate(slots):
        name = _widget_of(slot)
        if name is not None and name in seen and slot.get("link") is None:
            continue
        if name is not None:
            seen.add(name)
        if len(kept) != index:
            moved[str(node.get("id")), index] = len(kept)
        kept.append(slot)
    return {**node, "inputs": kept} if len(kept) != len(slots) else node


def _widget_of(slot: Any) -> str | None:
    match slot:
        case {"widget": {"name": str(name)}}:
            return name
        case _:
            return None


def _moved(link: Any, moved: dict[tuple[str, int], int]) -> Any:
    match link:
        case [id_, origin, output, target, int(slot), *rest] if (str(target), slot) in moved:
            return [id_, origin, output, target, moved[str(target), slot], *rest]
        case {"target_id": target, "target_slot": int(slot)} if (str(target), slot) in moved:
            return {**link, "target_slot": moved[str(target), slot]}
        case _:
            return link
