import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from graphengine.errors import ModelError
from graphengine_nodes.diffusion.text.embeddings import embedding_finder
from graphengine_nodes.diffusion.weights.checkpoint import open_checkpoint
from graphengine_nodes.diffusion.weights.torch_files import read_torch_tree
from graphengine_nodes.diffusion.weights.torch_program import Made, Name, ProgramError, read_program

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["since 1.6", "before 1.6"])


def saved(path: Path, value: Any, *, zipped: bool = True) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def tensors(path: Path) -> dict[str, Tensor]:
    checkpoint = open_checkpoint(path)
    return {name: checkpoint.tensor(info) for name, info in checkpoint.entries.items()}


@FORMATS
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool]
)
def test_tensors_are_read_as_they_were_saved(zipped: bool, dtype: torch.dtype, tmp_path: Path) -> None:
    value = (torch.arange(24).reshape(2, 3, 4) % 3).to(dtype)
    read = tensors(saved(tmp_path / "m.ckpt", {"a": value, "b.weight": value[:1]}, zipped=zipped))
    assert list(read) == ["a", "b.weight"]
    assert read["a"].dtype == dtype
    assert torch.equal(read["a"], value)
    assert torch.equal(read["b.weight"], value[:1])


def test_tensors_of_eight_bits_are_read(tmp_path: Path) -> None:
    value = torch.linspace(-2, 2, 12).to(torch.float8_e4m3fn).reshape(3, 4)
    read = tensors(saved(tmp_path / "m.pt", {"a": value}))
    assert torch.equal(read["a"].float(), value.float())


@FORMATS
def test_views_share_their_numbers_and_keep_their_order(zipped: bool, tmp_path: Path) -> None:
    whole = torch.arange(20.0).reshape(4, 5)
    value = {
        "whole": whole,
        "turned": whole.t(),
        "part": whole[1:3, 2:],
        "number": torch.tensor(3.5),
        "none": whole[:0],
    }
    read = tensors(saved(tmp_path / "m.pt", value, zipped=zipped))
    assert all(torch.equal(read[name], value[name]) for name in value)
    assert read["none"].shape == (0, 5)


@FORMATS
def test_the_table_that_trainers_put_around_a_model_is_left_out_of_names(zipped: bool, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    value = {
        "state_dict": model.state_dict(),
        "epoch": 4,
        "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}},
    }
    path = saved(tmp_path / "m.ckpt", value, zipped=zipped)
    read = tensors(path)
    assert set(read) == {"0.weight", "0.bias", "1.weight", "1.bias", "optimizer.state.0.step"}
    assert torch.equal(read["1.weight"], model.state_dict()["1.weight"])
    assert open_checkpoint(path).metadata == {"epoch": "4"}


def test_parameters_and_whole_modules_are_read_too(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    read = tensors(saved(tmp_path / "m.pt", OrderedDict(w=nn.Parameter(torch.ones(2)), module=layer)))
    assert torch.equal(read["w"], torch.ones(2))
    assert torch.equal(read["module._parameters.weight"], layer.weight)


class Bomb:
    """Would write a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


@FORMATS
def test_what_would_run_does_not_and_the_tensors_beside_it_are_read(zipped: bool, tmp_path: Path) -> None:
    target = tmp_path / "ran"
    path = saved(tmp_path / "m.ckpt", {"callback": Bomb(target), "w": torch.ones(2)}, zipped=zipped)
    assert torch.equal(tensors(path)["w"], torch.ones(2))
    callback = read_torch_tree(path)["callback"]
    assert isinstance(callback, Made)
    assert isinstance(callback.by, Name)
    assert callback.by.name == "system"
    assert not target.exists()


def test_a_pickle_that_is_no_file_of_tensors_is_named(tmp_path: Path) -> None:
    path, target = tmp_path / "m.ckpt", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(ModelError, match=r"'m\.ckpt' is a pickle, but not one of torch\.save"):
        open_checkpoint(path)
    assert not target.exists()


def test_archives_that_torch_did_not_write_are_named(tmp_path: Path) -> None:
    other, packed = tmp_path / "other.pt", tmp_path / "packed.pt"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", pickle.dumps({}, 2))
    with pytest.raises(ModelError, match=r"without the data\.pkl"):
        open_checkpoint(other)
    with pytest.raises(ModelError, match="is compressed"):
        open_checkpoint(packed)


def test_a_tensor_that_is_larger_than_its_numbers_is_found(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.pt", {"w": torch.ones(8)})
    changed = tmp_path / "changed.pt"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w") as target:
        for member in source.infolist():
            content = source.read(member)
            target.writestr(member.filename, content[:16] if "/data/" in member.filename else content)
    with pytest.raises(ModelError, match="a tensor is larger than the numbers it has"):
        open_checkpoint(changed)


@FORMATS
def test_a_truncated_file_is_an_error_that_names_it(zipped: bool, tmp_path: Path) -> None:
    content = saved(tmp_path / "m.pt", {"w": torch.ones(64), "v": torch.ones(64)}, zipped=zipped).read_bytes()
    for length in range(2, len(content) - 1, 37):
        path = tmp_path / "short.pt"
        path.write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"'short\.pt'"):
            open_checkpoint(path)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_of_programs_fail_otherwise(content: bytes) -> None:
    try:
        read_program(io.BytesIO(b"\x80\x02" + content))
    except ProgramError:
        return


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 2000), byte=st.integers(0, 255))
def test_a_changed_byte_is_read_or_named(place: int, byte: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save({"w": torch.ones(3), "n": [1, "x"]}, buffer, _use_new_zipfile_serialization=zipped)
        content = bytearray(buffer.getvalue())
        content[place % len(content)] = byte
        path = tmp_path_factory.getbasetemp() / "changed.pt"
        path.write_bytes(bytes(content))
        try:
            tensors(path)
        except ModelError as error:
            assert "changed.pt" in error.message  # noqa: PT017 (either outcome is right)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(value=values, protocol=st.integers(0, 5))
def test_plain_values_are_what_unpickling_would_give(value: object, protocol: int) -> None:
    assert read_program(io.BytesIO(pickle.dumps(value, protocol))) == value


def test_tables_in_tables_that_are_shared_do_not_take_forever(tmp_path: Path) -> None:
    value: Any = [torch.ones(1)]
    for _ in range(40):
        value = [value, value]
    assert list(tensors(saved(tmp_path / "m.pt", {"w": value}))) == ["w" + ".0" * 41]


def test_an_embedding_of_the_first_trainers_gives_its_vectors(tmp_path: Path) -> None:
    vectors = torch.randn(2, 4)
    token = {"*": torch.tensor(265)}
    path = saved(
        tmp_path / "style.pt", {"string_to_token": token, "string_to_param": {"*": nn.Parameter(vectors)}}
    )
    find = embedding_finder(lambda name: path if name == "style" else None, "clip_l", 4)
    read = find("style")
    assert read is not None
    assert torch.equal(torch.stack([*read]), vectors)
