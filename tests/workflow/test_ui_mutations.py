"""Whatever is done to a document, it is converted with problems or refused; nothing else is raised."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from graphengine.errors import WorkflowFormatError
from graphengine.workflow.api_format import api_to_workflow, parse_api, workflow_to_api
from graphengine.workflow.models import Link
from tests.workflow.properties import THOROUGH
from tests.workflow.ui_documents import converted, document, everything, node, subgraph, with_subgraphs

WHOLE = document(
    [
        node(1, "Load", outputs=["MODEL", "CLIP"], values=["a.safetensors"]),
        node(2, "Reroute", inputs=[("", "*", 21)], outputs=["MODEL"]),
        node(
            3,
            "Sharpen",
            inputs=[("model", "MODEL", 22), ("amount", "FLOAT", None, "widget")],
            outputs=["MODEL"],
            mode=4,
        ),
        node(4, "PrimitiveNode", outputs=["INT"], values=[7, "fixed"]),
        node(5, "SetNode", inputs=[("CLIP", "CLIP", 23)], values=["clip"]),
        node(6, "GetNode", outputs=["CLIP"], values=["clip"]),
        node(7, "Encode", inputs=[("clip", "CLIP", 24)], outputs=["CONDITIONING"], values=["a cat"]),
        node(
            8,
            "Sample",
            inputs=[("model", "MODEL", 25), ("positive", "CONDITIONING", 26), ("seed", "INT", 27, "widget")],
            outputs=["LATENT"],
            values=[5, "randomize", 20],
        ),
        node(9, "Note", values=["Read me"]),
        node(10, "Save", inputs=[("latent", "LATENT", 28)], values=["out"], mode=0),
    ],
    [
        (21, 1, 0, 2, 0, "MODEL"),
        (22, 2, 0, 3, 0, "MODEL"),
        (23, 1, 1, 5, 0, "CLIP"),
        (24, 6, 0, 7, 0, "CLIP"),
        (25, 3, 0, 8, 0, "MODEL"),
        (26, 7, 0, 8, 1, "CONDITIONING"),
        (27, 4, 0, 8, 2, "INT"),
        (28, 8, 0, 10, 0, "LATENT"),
    ],
)
SCALARS = st.sampled_from(
    [
        None,
        True,
        -10,
        -20,
        "00000000-0000-0000-0000-000000000002",
        "workflow>Make",
        0,
        1,
        2,
        4,
        -1,
        3,
        25,
        10**20,
        0.5,
        "",
        "1",
        "MODEL",
        "GetNode",
        "SetNode",
        "Reroute",
        "PrimitiveNode",
    ]
)
ODDITIES: st.SearchStrategy[Any] = SCALARS | st.builds(list) | st.builds(dict) | st.lists(SCALARS, max_size=6)


def places(value: Any) -> list[tuple[Any, ...]]:
    """Every place of a document, as keys and indices from the top."""
    found: list[tuple[Any, ...]] = []
    stack: list[tuple[tuple[Any, ...], Any]] = [((), value)]
    while stack:
        place, at = stack.pop()
        children = at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) else ()
        for key, child in children:
            found.append((*place, key))
            stack.append(((*place, key), child))
    return found


UUIDS = ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"]
SHARPENING = subgraph(
    UUIDS[0],
    [
        node(
            3,
            "Sharpen",
            inputs=[("model", "MODEL", 1), ("amount", "FLOAT", 2, "widget")],
            outputs=["MODEL"],
            values=[1],
        ),
        node(4, "Reroute", inputs=[("", "*", 3)], outputs=["MODEL"]),
    ],
    [
        (1, -10, 0, 3, 0, "MODEL"),
        (2, -10, 1, 3, 1, "FLOAT"),
        (3, 3, 0, 4, 0, "MODEL"),
        (4, 4, 0, -20, 0, "MODEL"),
    ],
    inputs=["model", "amount"],
    outputs=["MODEL"],
)
TWICE = subgraph(
    UUIDS[1],
    [
        node(7, UUIDS[0], inputs=[("model", "MODEL", 1), ("amount", "FLOAT", 2, "widget")], outputs=["MODEL"]),
        node(
            8,
            UUIDS[0],
            inputs=[("model", "MODEL", 3)],
            outputs=["MODEL"],
            values=[5],
            properties={"proxyWidgets": [["-1", "amount"], ["3", "amount"]]},
        ),
    ],
    [
        (1, -10, 0, 7, 0, "MODEL"),
        (2, -10, 1, 7, 1, "FLOAT"),
        (3, 7, 0, 8, 0, "MODEL"),
        (4, 8, 0, -20, 0, "MODEL"),
    ],
    inputs=["model", "amount"],
    outputs=["MODEL"],
)
NESTED = with_subgraphs(
    document(
        [
            node(1, "Load", outputs=["MODEL", "CLIP"], values=["a.safetensors"]),
            node(
                2,
                UUIDS[1],
                inputs=[("model", "MODEL", 21), ("amount", "FLOAT", None, "widget")],
                outputs=["MODEL"],
                values=[3],
            ),
            node(5, "Anything Everywhere", inputs=[("anything", "*", 22)]),
            node(
                37,
                "workflow>Make",
                inputs=[("clip", "CLIP", 23)],
                outputs=["LATENT"],
                values=["a dog", 6, "fixed"],
            ),
            node(10, "Save", inputs=[("latent", "LATENT", 24)], values=["out"]),
        ],
        [
            (21, 1, 0, 2, 0, "MODEL"),
            (22, 2, 0, 5, 0, "MODEL"),
            (23, 1, 1, 37, 0, "CLIP"),
            (24, 37, 0, 10, 0, "LATENT"),
        ],
    ),
    SHARPENING,
    TWICE,
)
NESTED["nodes"].append(node(8, "Sample", inputs=[("model", "MODEL", None)], outputs=["LATENT"], values=[5]))
NESTED["extra"]["groupNodes"] = {
    "Make": {
        "nodes": [
            node(0, "Encode", inputs=[("clip", "CLIP", 5)], outputs=["CONDITIONING"], values=["a cat"]),
            node(
                0,
                "Sample",
                inputs=[("model", "MODEL", None), ("positive", "CONDITIONING", 6)],
                outputs=["LATENT"],
                values=[5, "randomize", 20],
            ),
        ],
        "links": [[0, 0, 1, 1, 7, "CONDITIONING"]],
        "external": [[1, 0, "LATENT"]],
        "config": {"0": {"input": {"text": {"name": "words"}}}},
    }
}
PLACES, NESTED_PLACES = places(WHOLE), places(NESTED)


def holds(at: Any, key: Any) -> bool:
    """Whether there is a place of that key or index."""
    if isinstance(at, dict):
        return key in at
    return isinstance(at, list) and isinstance(key, int) and key < len(at)


def changed(raw: Any, place: tuple[Any, ...], value: Any) -> None:
    """Put a value at a place, or remove what is there (Ellipsis); nothing happens when the place is gone."""
    *way, last = place
    at = raw
    for key in way:
        at = at[key] if holds(at, key) else None
    if not holds(at, last):
        return
    if value is ...:
        del at[last]
    else:
        at[last] = value


@THOROUGH
@given(st.lists(st.tuples(st.sampled_from(PLACES), ODDITIES | st.just(...)), min_size=1, max_size=4))
def test_a_mutated_document_is_converted_with_problems_or_refused(mutations: list[tuple[Any, Any]]) -> None:
    is_converted_or_refused(WHOLE, mutations)


@THOROUGH
@given(st.lists(st.tuples(st.sampled_from(NESTED_PLACES), ODDITIES | st.just(...)), min_size=1, max_size=4))
def test_a_mutated_document_of_subgraphs_is_converted_with_problems_or_refused(
    mutations: list[tuple[Any, Any]],
) -> None:
    is_converted_or_refused(NESTED, mutations)


def is_converted_or_refused(whole: dict[str, Any], mutations: list[tuple[Any, Any]]) -> None:
    raw = deepcopy(whole)
    for place, value in mutations:
        changed(raw, place, deepcopy(value))
    try:
        conversion = converted(raw)
    except WorkflowFormatError:
        return
    workflow = conversion.workflow
    assert workflow.ui == raw
    sources = {
        link.source for each in workflow.nodes.values() for link in each.inputs.values() if isinstance(link, Link)
    }
    assert sources <= workflow.nodes.keys()
    plain = {key: replace(each, origin=None) for key, each in workflow.nodes.items()}
    assert api_to_workflow(parse_api(workflow_to_api(workflow))).nodes == plain


def test_the_whole_document_is_converted_without_problems() -> None:
    conversion = converted(WHOLE)
    assert conversion.problems == ()
    assert workflow_to_api(conversion.workflow) == {
        "1": {"class_type": "Load", "inputs": {"name": "a.safetensors"}},
        "7": {"class_type": "Encode", "inputs": {"text": "a cat", "clip": ["1", 1]}},
        "8": {
            "class_type": "Sample",
            "inputs": {"seed": 7, "steps": 20, "model": ["1", 0], "positive": ["7", 0]},
        },
        "10": {"class_type": "Save", "inputs": {"prefix": "out", "latent": ["8", 0]}},
    }


def test_the_nested_document_is_converted_without_problems() -> None:
    conversion = converted(NESTED)
    assert conversion.problems == ()
    assert everything(conversion) == {
        "1": {"name": "a.safetensors"},
        "2:7:3": {"model": ["1", 0], "amount": 3},
        "2:8:3": {"model": ["2:7:3", 0], "amount": 5},
        "5": {"anything": ["2:8:3", 0]},
        "8": {"model": ["2:8:3", 0], "seed": 5},
        "37:0": {"clip": ["1", 1], "text": "a dog"},
        "37:1": {"positive": ["37:0", 0], "seed": 6, "steps": 20},
        "10": {"latent": ["37:1", 0], "prefix": "out"},
    }
