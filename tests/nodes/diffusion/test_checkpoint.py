import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint

WEIGHT = {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}


def made(header: Any, data: bytes = b"\0" * 16, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def changed(**fields: Any) -> bytes:
    return made({"w": WEIGHT["w"] | fields})


DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is not a safetensors file: it has only 0 bytes"),
    "a few bytes": (b"\1\2\3", "is not a safetensors file: it has only 3 bytes"),
    "random bytes": (bytes(range(7, 200)), "is not a safetensors file"),
    "header larger than the file": (made(WEIGHT, length=4000), "is truncated: its header has 4000 bytes"),
    "header of four gigabytes": (made(WEIGHT, length=2**32), "is not a safetensors file"),
    "header cut": (made(WEIGHT, length=30), "is damaged: its header is not JSON"),
    "header not text": (made(b"{\xff\xfe" + b" " * 40), "is damaged: its header is not JSON"),
    "header nested deeply": (made(b'{"a":' + b"[" * 100_000), "is damaged: its header is not JSON"),
    "data cut": (made(WEIGHT, b"\0" * 15), "is truncated: it should have"),
    "no tensors": (made({"__metadata__": {}}), "holds no tensors"),
    "no table of metadata": (made(WEIGHT | {"__metadata__": []}), "its metadata is no table"),
    "unknown dtype": (changed(dtype="F13"), "holds tensor 'w' of the unknown type 'F13'"),
    "shape and size differ": (changed(shape=[3]), "tensor 'w' of shape [3] has 16 bytes"),
    "negative shape": (changed(shape=[-2, -2]), "the header entry of tensor 'w' is malformed"),
    "shape of fractions": (changed(shape=[2.0, 2]), "the header entry of tensor 'w' is malformed"),
    "shape of truth": (changed(shape=[True, 4]), "the header entry of tensor 'w' is malformed"),
    "huge shape": (changed(shape=[2**70, 0]), "the header entry of tensor 'w' is malformed"),
    "end before start": (changed(data_offsets=[16, 0]), "the header entry of tensor 'w' is malformed"),
    "three offsets": (changed(data_offsets=[0, 8, 16]), "the header entry of tensor 'w' is malformed"),
    "no entry": (made({"w": None}), "the header entry of tensor 'w' is malformed"),
    "an LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
    "a web page": (b"\n<!DOCTYPE html><html><head>", "is a web page, not a model"),
    "GGUF": (b"GGUF\3\0\0\0" + b"\0" * 40, "is a GGUF file"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_named_with_what_is_wrong(case: str, tmp_path: Path) -> None:
    content, message = DAMAGED[case]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError) as error:
        open_checkpoint(path)
    assert "model file 'model.safetensors' " in error.value.message
    assert message in error.value.message


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580])
def test_a_header_whose_length_looks_like_a_pickle_is_read(length: int, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(made(json.dumps(WEIGHT).encode().ljust(length)))
    assert path.read_bytes()[:2] == bytes([0x80, length >> 8])
    assert open_checkpoint(path).entries.keys() == {"w"}


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_what_a_file_is_follows_from_its_bytes_and_not_from_its_name(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{suffix}"
    torch.save({"w": torch.zeros(2)}, path)
    assert zipfile.is_zipfile(path)
    assert open_checkpoint(path).entries.keys() == {"w"}
    path.write_bytes(made(WEIGHT))
    assert open_checkpoint(path).entries.keys() == {"w"}


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'none.safetensors' cannot be read: No such file"):
        open_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        open_checkpoint(tmp_path)


def test_tensors_of_every_type_are_those_that_were_saved(tmp_path: Path) -> None:
    tensors = {
        "half": torch.randn(3, 4).half(),
        "brain": torch.randn(5).bfloat16(),
        "single": torch.randn(2, 3, 1),
        "eight": torch.randn(4).to(torch.float8_e4m3fn),
        "long": torch.arange(7),
        "flag": torch.tensor([True, False]),
        "scalar": torch.tensor(3.5),
        "none": torch.zeros(0, 4),
    }
    save_file(tensors, tmp_path / "m.safetensors", metadata={"format": "pt"})
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    assert checkpoint.metadata == {"format": "pt"}
    assert checkpoint.entries.keys() == tensors.keys()
    for name, expected in tensors.items():
        read = checkpoint.tensor(checkpoint.entries[name])
        assert read.dtype == expected.dtype
        assert torch.equal(read.float(), expected.float())
        assert read.shape == expected.shape


def test_data_that_is_not_aligned_is_read_as_well(tmp_path: Path) -> None:
    header = json.dumps(WEIGHT).encode() + b"   "
    path = tmp_path / "m.safetensors"
    for padding in range(4):
        text = header + b" " * padding
        path.write_bytes(made(text, struct.pack("<4f", 1, 2, 3, 4)))
        checkpoint = open_checkpoint(path)
        assert checkpoint.tensor(checkpoint.entries["w"]).tolist() == [[1, 2], [3, 4]]


def test_tensors_stay_valid_after_their_memory_was_released(tmp_path: Path) -> None:
    expected = torch.randn(100_000)
    save_file({"w": expected}, tmp_path / "m.safetensors")
    checkpoint = open_checkpoint(tmp_path / "m.safetensors")
    tensor = checkpoint.tensor(checkpoint.entries["w"])
    checkpoint.release()
    assert torch.equal(tensor, expected)


def test_a_part_is_named_without_its_prefix(tmp_path: Path) -> None:
    save_file({"vae.a": torch.zeros(1), "unet.a": torch.zeros(2)}, tmp_path / "m.safetensors")
    part = open_checkpoint(tmp_path / "m.safetensors").part("unet.", "other.")
    assert {name: info.shape for name, info in part.items()} == {"a": (2,)}
