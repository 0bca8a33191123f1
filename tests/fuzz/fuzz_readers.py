"""Coverage-guided fuzzing of everything that reads and converts a file, with atheris.

    pip install atheris
    PYTHONPATH=.:nodes python tests/fuzz/fuzz_readers.py corpus tests/fuzz/seeds -dict=tests/fuzz/words.dict \\
        -max_total_time=3600 -timeout=10 -rss_limit_mb=512

`corpus` is a folder of your own, in which new inputs are kept. A file may be read, or refused with a
`WorkflowFormatError`. Whatever else is raised, an input that takes longer than the timeout, and more memory than
the limit are findings, written to `crash-…`, `timeout-…` or `oom-…`. To see one again, give it in place of the
folders.

The seeds are the small files of `tests/workflow/containers.py`; `--write-seeds` writes them anew. It is no part of
the tests that run by default.
"""

import json
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["graphengine.workflow"]):
    from graphengine.errors import WorkflowFormatError
    from graphengine.workflow.formats import DocumentKind, read_document, to_workflow

from tests.workflow.containers import API, UI, WITH_BOTH, WITHOUT, XMP_ELEMENTS, riff, webp, xmp
from tests.workflow.ui_documents import KNOWN, document, node, subgraph, with_subgraphs

SEEDS = Path(__file__).with_name("seeds")


def read_and_convert(data: bytes) -> None:
    """One run: the file is read and converted, or refused."""
    try:
        found = read_document(data)
    except WorkflowFormatError:
        return
    for kind, given in ((DocumentKind.API, found.api), (DocumentKind.UI, found.ui)):
        if given is not None:
            to_workflow(found, KNOWN, kind)


def write_seeds() -> None:
    """Write the seeds: each kind of file with documents and without, and documents of both kinds and versions."""
    nodes = [
        node(1, "Load", outputs=["MODEL", "CLIP"], values=["a.safetensors"]),
        node(2, "Reroute", inputs=[("", "*", 1)], outputs=["MODEL"]),
        node(3, "Sharpen", inputs=[("model", "MODEL", 2)], outputs=["MODEL"], values=[0.5], mode=4),
        node(4, "Sample", inputs=[("model", "MODEL", 3)], values=[7, "fixed", 20]),
    ]
    links = [(1, 1, 0, 2, 0, "MODEL"), (2, 2, 0, 3, 0, "MODEL"), (3, 3, 0, 4, 0, "MODEL")]
    plain = {
        "ui-0.4.json": json.dumps(document(nodes, links)).encode(),
        "ui-1.json": json.dumps(document(nodes, links, version=1)).encode(),
    }
    inside = node(5, "Sharpen", inputs=[("model", "MODEL", 1)], outputs=["MODEL"], values=[0.5])
    ends = [(1, -10, 0, 5, 0, "MODEL"), (2, 5, 0, -20, 0, "MODEL")]
    refine = subgraph("9f76cdf2-b272-41bd-8228-bd7850366c83", [inside], ends, inputs=["model"], outputs=["MODEL"])
    nodes[2] = {**nodes[2], "type": refine["id"], "mode": 0, "properties": {"proxyWidgets": [["5", "amount"]]}}
    with_subgraph = with_subgraphs(document(nodes, links, version=1), refine)
    seeds = {
        "ui-subgraph.json": json.dumps(with_subgraph).encode(),
        "api.json": json.dumps(API).encode(),
        "envelope.json": json.dumps({"prompt": API, "extra_data": {"extra_pnginfo": {"workflow": UI}}}).encode(),
        "webp-picture-xmp": webp(riff(b"XMP ", xmp(*XMP_ELEMENTS))),
        **plain,
        **{f"{kind.replace(' ', '-')}-both": data for kind, data in WITH_BOTH.items()},
        **{f"{kind.replace(' ', '-')}-without": data for kind, data in WITHOUT.items()},
    }
    SEEDS.mkdir(exist_ok=True)
    for name, data in seeds.items():
        (SEEDS / name.lower()).write_bytes(data)


if __name__ == "__main__":
    if "--write-seeds" in sys.argv:
        write_seeds()
    else:
        atheris.Setup(sys.argv, read_and_convert)
        atheris.Fuzz()
