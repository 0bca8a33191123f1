"""What files say about themselves, and what was changed in it."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from graphengine.replaying.carried import ordered_like, run_in, texts_in
from tests.workflow.containers import mp3, mp4, mp4_keys, safetensors

PROMPT = {"1": {"class_type": "Number", "inputs": {"value": 1}}}
OURS = {"run": "20261122-205101123-3f9c2a"}
TEXTS = {"prompt": json.dumps(PROMPT), "graphengine": json.dumps(OURS)}


def webp() -> bytes:
    exif = Image.Exif()
    exif[0x0110] = f"prompt:{TEXTS['prompt']}"
    exif[0x010F] = f"graphengine:{TEXTS['graphengine']}"
    file = BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), "uint8")).save(file, "WEBP", exif=exif)
    return file.getvalue()


KINDS: dict[str, Callable[[dict[str, str]], bytes]] = {
    "webp": lambda texts: webp(),
    "safetensors": safetensors,
    "mp4": lambda texts: mp4(mp4_keys(texts)),
    "mp3": mp3,
}


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_each_kind_tell_their_documents_and_run(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"a.{kind}"
    file.write_bytes(KINDS[kind](TEXTS))
    assert json.loads(texts_in(file)["prompt"]) == PROMPT
    assert run_in(file) == OURS["run"]


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 ", b"{" * 300])
def test_a_file_that_says_nothing_or_is_damaged_has_no_texts(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "a"
    file.write_bytes(data)
    assert (texts_in(file), run_in(file)) == ({}, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, JSON)
def test_another_order_changes_nothing_that_is_said(value: Any, model: Any) -> None:
    assert json.dumps(ordered_like(value, model), sort_keys=True) == json.dumps(value, sort_keys=True)


@given(JSON)
def test_a_document_with_sorted_keys_gets_its_order_back(value: Any) -> None:
    canonical = json.loads(json.dumps(value, sort_keys=True))
    assert json.dumps(ordered_like(canonical, value)) == json.dumps(value)


def test_deep_documents_are_put_in_order_without_recursion() -> None:
    deep: Any = {"b": 1, "a": 2}
    for _ in range(5000):
        deep = {"inner": deep}
    found = ordered_like(deep, None)
    for _ in range(5000):
        found = found["inner"]
    assert list(found) == ["b", "a"]
