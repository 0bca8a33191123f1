import json
import math
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open

from graphengine.cache.encoding import DamagedEncoding, decode, encode, why_not_storable
from graphengine.cache.store import Outputs
from graphengine.node.api import ExecutionBlocker

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**62, max_value=2**70)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.binary(max_size=8),
    lambda children: (
        st.lists(children, max_size=4)
        | st.lists(children, max_size=4).map(tuple)
        | st.dictionaries(st.text(st.characters(), max_size=4), children, max_size=4)
    ),
    max_leaves=10,
)
DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "complex64",
    "complex128",
    "uint16",
    "uint32",
    "uint64",
]


def exact(value: object) -> object:
    """The value with types and the bits of floats visible, so that `==` means identity in every respect."""
    if isinstance(value, float):
        return struct.pack(">d", value)
    if isinstance(value, list | tuple):
        return type(value), [exact(member) for member in value]
    if isinstance(value, dict):
        return dict, [(exact(name), exact(member)) for name, member in value.items()]
    return type(value), value


def round_trip(value: object) -> object:
    encoded = encode(Outputs(((value,),)))
    assert encoded is not None
    ((back,),) = decode(encoded)
    return back


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


@given(PLAIN)
def test_plain_values_come_back_exactly(value: object) -> None:
    assert exact(round_trip(value)) == exact(value)


@pytest.mark.parametrize(
    "value",
    [
        -0.0,
        math.inf,
        -math.inf,
        math.nan,
        5e-324,
        10**6000,
        -(2**63) - 1,
        "\ud800",
        "\ud83d\ude00",
        "😀",
        "x" * 5000 + "\ud800",
        b"\x00" * 5000,
        {1: "a", "1": "b"},
        {"": {}, "l": [], "t": ()},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_difficult_value_comes_back_exactly(value: object) -> None:
    assert exact(round_trip(value)) == exact(value)


def test_slots_and_lists_of_items_are_kept_apart() -> None:
    slots = ((1, 2), (), ([3],))
    encoded = encode(Outputs(slots))
    assert encoded is not None
    assert decode(encoded) == slots


def test_small_plain_data_needs_no_blob() -> None:
    assert encode(Outputs(((3,),))) == '[1,3,["u",1],["u",1]]'


def test_nesting_10_000_deep_comes_back() -> None:
    deep: object = 1
    for _ in range(10_000):
        deep = [deep]
    back = round_trip(deep)
    for _ in range(10_000):
        assert isinstance(back, list)
        (back,) = back
    assert back == 1


@pytest.mark.parametrize("message", [None, "", "not today", "\ud800"])
def test_a_blocker_comes_back_with_its_message(message: str | None) -> None:
    assert round_trip([ExecutionBlocker(message)]) == [ExecutionBlocker(message)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (5,), (2, 3)])
def test_a_tensor_of_any_dtype_and_shape_comes_back(dtype: str, shape: tuple[int, ...]) -> None:
    kind = getattr(torch, dtype)
    raw = torch.arange(math.prod(shape) * kind.itemsize, dtype=torch.uint8)
    tensor = raw.remainder(2).bool() if kind is torch.bool else raw.view(kind)
    tensor = tensor[: math.prod(shape)].reshape(shape)
    back = round_trip({"samples": tensor})
    assert isinstance(back, dict)
    assert (back["samples"].dtype, back["samples"].shape) == (kind, tensor.shape)
    assert bits(back["samples"]) == bits(tensor)


VIEWED = torch.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "tensor",
    [
        VIEWED.permute(2, 0, 1),
        VIEWED[:, ::2],
        VIEWED[1],
        VIEWED[:, :1].expand(2, 5, 4),
        torch.tensor([1 + 2j, 3j]).conj(),
        torch.tensor([1 + 2j, 3j]).conj().imag,
        VIEWED.clone().requires_grad_(),
        torch.tensor([math.nan, math.inf, -0.0]),
    ],
    ids=["permuted", "strided", "part", "expanded", "conjugate", "negated", "with_gradient", "not_finite"],
)
def test_a_view_comes_back_with_the_same_values(tensor: torch.Tensor) -> None:
    back = round_trip(tensor)
    assert isinstance(back, torch.Tensor)
    assert back.is_contiguous()
    assert not back.requires_grad
    assert bits(back) == bits(tensor.detach())


def test_views_that_share_storage_all_come_back() -> None:
    back = round_trip([VIEWED, VIEWED[0], VIEWED.flatten(), [VIEWED]])
    assert isinstance(back, list)
    assert torch.equal(back[1], VIEWED[0])
    assert torch.equal(back[2], VIEWED.flatten())
    assert back[0] is back[3][0]
    assert back[0].data_ptr() != back[2].data_ptr()


def test_a_tensor_that_comes_back_can_be_written_to() -> None:
    back = round_trip(VIEWED)
    assert isinstance(back, torch.Tensor)
    assert torch.equal(back.add_(1), VIEWED + 1)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::-1],
        np.arange(6, dtype=">i4").reshape(2, 3).T,
        np.array(3.5),
        np.zeros((0, 2), np.uint16),
        np.array([1 + 2j]),
        np.array([True, False]),
        np.array([1, 2], np.uint64),
        np.float32(0.1),
        np.int64(7),
        np.bool_(True),
    ],
)
@pytest.mark.parametrize("beside", [None, torch.ones(2)], ids=["alone", "beside_a_tensor"])
def test_a_numpy_value_comes_back(array: np.ndarray[tuple[int, ...], np.dtype[np.number]], beside: object) -> None:
    back = round_trip([array, beside])
    assert isinstance(back, list)
    assert type(back[0]) is type(array)
    assert (back[0].dtype, back[0].shape) == (array.dtype, array.shape)
    assert np.array_equal(back[0], array)


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16"]
)
@pytest.mark.parametrize("size", [(13, 7), (300, 200), (0, 4)], ids=["small", "large", "empty"])
def test_a_picture_of_any_mode_comes_back(mode: str, size: tuple[int, int]) -> None:
    length = len(Image.new(mode, size).tobytes())
    picture = (
        Image.frombytes(mode, size, bytes(n % 251 for n in range(length))) if length else Image.new(mode, size)
    )
    if mode == "P":
        picture.putpalette(bytes(range(0, 252, 3)) * 3)
    picture.info.update({"dpi": (72, 72), "transparency": 3, "icc_profile": b"profile"})
    back = round_trip([picture, 1])
    assert isinstance(back, list)
    assert type(back[0]) is Image.Image
    assert back[0] == picture
    assert back[0].info == picture.info


def test_a_picture_that_is_bound_to_its_file_has_no_encoding(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert encode(Outputs(((picture,),))) is None
        assert encode(Outputs(((picture.copy(),),))) is not None


@pytest.mark.parametrize(
    "token",
    [
        '["p","RGB",1,2]',
        '["p","RGB",-1,1]',
        '["p","RGB",1e9,1]',
        '["p","XYZ",1,1]',
        '["p",3,1,1]',
        '["p","RGB",1]',
        '["p","RGB",99999999999,99999999999]',
    ],
)
def test_a_picture_whose_description_does_not_fit_is_damaged(token: str) -> None:
    with pytest.raises(DamagedEncoding):
        decode(f'[1,["b","AAAA"],null,["d",0],{token},["u",1],["u",1]]')


def test_a_picture_of_three_values_that_are_none_is_damaged() -> None:
    for values in ('1,null,["d",0]', '["b","AAAA"],1,["d",0]', '["b","AAAA"],null,null', "null"):
        with pytest.raises(DamagedEncoding):
            decode(f'[1,{values},["p","RGB",1,1],["u",1],["u",1]]')


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"{",
        b'{"0": 1}',
        b'{"structure": {"data_offsets": [0, 99]}}',
        b'{"structure": {"data_offsets": [2, 1]}}',
        b'{"structure": {"data_offsets": [-1, 1]}}',
        b'{"structure": {"data_offsets": [0.0, 1]}}',
        b'{"structure": {}}',
        b'{"__metadata__": {}}',
    ],
)
def test_a_safetensors_file_with_a_wrong_header_is_damaged(header: bytes) -> None:
    with pytest.raises(DamagedEncoding):
        decode(len(header).to_bytes(8, "little") + header + b"[1]")


def test_a_blob_is_a_safetensors_file_that_other_programs_read(tmp_path: Path) -> None:
    blob = encode(Outputs((({"samples": torch.ones(1, 4, dtype=torch.bfloat16)},),)))
    assert isinstance(blob, bytes)
    (tmp_path / "a.safetensors").write_bytes(blob)
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        assert torch.equal(file.get_tensor("0"), torch.ones(1, 4, dtype=torch.bfloat16))
        structure = bytes(file.get_tensor("structure").tolist())
    assert json.loads(structure) == [1, "samples", ["t", "0", "bfloat16", [1, 4]], ["d", 1], ["u", 1], ["u", 1]]


def test_equal_outputs_give_equal_bytes() -> None:
    first = {"samples": torch.ones(2, 3), "mask": torch.zeros(3)}
    second = {"samples": torch.ones(3, 2).t(), "mask": torch.zeros(1).expand(3)}
    assert encode(Outputs(((first,),))) == encode(Outputs(((second,),)))


class Model:
    pass


class NamedDict(dict[str, int]):
    pass


@pytest.mark.parametrize(
    "value",
    [
        Model(),
        SimpleNamespace(nbytes=3),
        {1, 2},
        NamedDict(a=1),
        {(1, 2): 3},
        [{"model": Model()}],
        torch.nn.Parameter(torch.ones(1)),
        torch.ones(2, 2).to_sparse(),
        torch.ones(1, device="meta"),
        np.array([Model()]),
        np.array(["text"]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.str_("text"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_plain_data_has_no_encoding(value: object) -> None:
    outputs = Outputs(((1,), (value,)))
    assert encode(outputs) is None
    assert (why_not_storable(outputs) or "").startswith("slot 1 holds ")


@pytest.mark.parametrize("place", [0, 1000])
def test_a_list_that_contains_itself_has_no_encoding(place: int) -> None:
    endless: list[object] = [0] * 1000
    endless.insert(place, endless)
    assert encode(Outputs(((endless,),))) is None


@pytest.mark.parametrize(
    "structure",
    [
        "",
        "{",
        "3",
        "[]",
        "[2,3]",
        "[1]",
        "[1,3]",
        '[1,["u",0],["u",0]]',
        '[1,["u",2]]',
        '[1,["u",-1]]',
        '[1,["l",0],["u",1]]',
        '[1,[[],"0"],["u",1],["u",1]]',
        '[1,["q","0"],["u",1],["u",1]]',
        '[1,["t","0","float32",[1]],["u",1],["u",1]]',
        '[1,["i","xyz"],["u",1],["u",1]]',
        '[1,["f","00"],["u",1],["u",1]]',
        '[1,["l",0],1,["d",1],["u",1],["u",1]]',
        "[" * 100_000,
    ],
)
def test_a_structure_that_encode_did_not_write_is_damaged(structure: str) -> None:
    with pytest.raises(DamagedEncoding):
        decode(structure)


@pytest.mark.parametrize(
    ("dtype", "shape"), [("float32", [3]), ("float32", [-1]), ("load", [2]), ("bool", [2.5]), ("float64", [4])]
)
def test_a_tensor_whose_description_does_not_fit_is_damaged(dtype: str, shape: list[float]) -> None:
    from safetensors.torch import save

    structure = json.dumps([1, ["t", "0", dtype, shape], ["u", 1], ["u", 1]]).encode()
    blob = save({"0": torch.ones(2), "structure": torch.frombuffer(bytearray(structure), dtype=torch.uint8)})
    with pytest.raises(DamagedEncoding):
        decode(blob)


def test_a_truncated_blob_is_damaged() -> None:
    blob = encode(Outputs(((VIEWED,),)))
    assert isinstance(blob, bytes)
    for length in (0, 7, 20, len(blob) - 1):
        with pytest.raises(DamagedEncoding):
            decode(blob[:length])
