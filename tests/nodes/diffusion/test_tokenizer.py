import sys
from pathlib import Path
from subprocess import run

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from graphengine_nodes.diffusion.text import tokenizer
from graphengine_nodes.diffusion.text.tokenizer import Tokenize, clip_tokenizer

IDS: list[tuple[str, list[int]]] = [
    ("", []),
    ("a", [320]),
    ("a photo of a cat", [320, 1125, 539, 320, 2368]),
    ("A PHOTO OF A CAT", [320, 1125, 539, 320, 2368]),
    ("  a   photo\n\tof a  cat ", [320, 1125, 539, 320, 2368]),
    ("masterpiece, best quality, 1girl", [12066, 267, 949, 3027, 267, 272, 1611]),
    ("blurry, low quality", [21977, 267, 1042, 3027]),
    (
        "it's we've they'll I'm he'd you're can't",
        [585, 568, 649, 1200, 889, 1342, 328, 880, 797, 1896, 592, 982, 753, 713],
    ),
    ("2024 10,000.5", [273, 271, 273, 275, 272, 271, 267, 271, 271, 271, 269, 276]),
    ("!!!", [995]),
    ("...", [678]),
    ("don't-stop", [847, 713, 268, 1691]),
    ("supercalifragilisticexpialidocious", [1642, 2857, 13093, 2076, 5868, 26850, 835, 639, 38466]),
    ("naïve café", [1097, 35689, 563, 15304]),
    ("é", [4166]),
    ("Ünïcödé", [6522, 77, 35689, 66, 7255, 67, 4166]),
    ("日本語のテスト", [39121, 44353, 34002, 252, 21575, 2429, 228, 32421, 486]),
    ("Привет, мир", [26302, 16370, 29503, 110, 22176, 141, 480, 267, 38018, 16701, 141, 478]),
    ("🍎 apple 🍏", [32069, 3055, 2011, 493]),
    ("👩\u200d🚀", [26304, 13542]),
    ("<|endoftext|>", [49407]),
    ("a <|startoftext|> b", [320, 49406, 321]),
    ("&amp; &lt;", [261, 6259, 282, 261, 3333, 282]),
    ("ﬁ ﬂ ½", [171, 105, 479, 171, 105, 480, 33613]),
    ("\u201cquoted\u201d \u2018text\u2019", [728, 506, 27706, 728, 507, 728, 502, 4160, 728, 503]),
    ("a\xa0b\u3000c", [320, 321, 322]),
    ("\u200bzero width", [9844, 5848, 23571]),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        [32035, 32035, 32035, 32035, 32035, 32035, 32035, 32035, 32035, 22819],
    ),
    ("(masterpiece:1.2)", [263, 12066, 281, 272, 269, 273, 264]),
    ("<lora:foo:0.8>", [283, 2179, 320, 281, 23435, 281, 271, 269, 279, 285]),
    (
        "#hashtag @user http://x.y/z?q=1",
        [258, 9238, 287, 7031, 15066, 12441, 343, 269, 344, 270, 345, 286, 336, 284, 272],
    ),
    ("\x00\x01", [188, 445]),
    ("\uff26\uff35\uff2c\uff2c width", [171, 121, 228, 171, 121, 243, 171, 121, 234, 171, 121, 490, 23571]),
    ("İstanbul", [328, 16384, 11231]),
]


@pytest.fixture(scope="module")
def tokenize() -> Tokenize:
    return clip_tokenizer()


@pytest.fixture(scope="module")
def reference() -> CLIPTokenizer:
    """The tokenizer of transformers over the same vocabulary, rebuilt from the merges alone."""
    merges = tokenizer.read_merges()
    symbols = tokenizer.byte_symbols()
    symbols = [*symbols, *(f"{symbol}</w>" for symbol in symbols), *(first + second for first, second in merges)]
    vocabulary = {symbol: number for number, symbol in enumerate([*symbols, "<|startoftext|>", "<|endoftext|>"])}
    assert len(vocabulary) == 49408
    return CLIPTokenizer(vocab=vocabulary, merges=merges)


@pytest.mark.parametrize(("text", "expected"), IDS)
def test_ids_are_those_of_clip(text: str, expected: list[int], tokenize: Tokenize) -> None:
    assert tokenize(text) == expected


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=30))
def test_ids_equal_those_of_transformers(text: str, tokenize: Tokenize, reference: CLIPTokenizer) -> None:
    assert tokenize(text) == reference(text)["input_ids"][1:-1]


def test_it_needs_neither_torch_nor_transformers() -> None:
    code = f"import sys, {tokenizer.__name__} as t; t.clip_tokenizer()('a'); "
    code += "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    roots = [str(Path(tokenizer.__file__).parents[2]), str(Path(__file__).parents[3])]
    assert run([sys.executable, "-c", f"import sys; sys.path[:0] = {roots}; {code}"], check=False).returncode == 0
