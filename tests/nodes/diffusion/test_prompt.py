import sys
from pathlib import Path
from subprocess import run

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphengine_nodes.diffusion.text import prompt
from graphengine_nodes.diffusion.text.prompt import (
    CLIP_G,
    CLIP_L,
    END_TOKEN,
    START_TOKEN,
    ChunkForm,
    PromptError,
    chunked_tokens,
    parse_weights,
    word_numbers,
)

WEIGHTS: list[tuple[str, list[tuple[str, float]]]] = [
    ("", []),
    ("a cat", [("a cat", 1.0)]),
    ("(cat)", [("cat", 1.1)]),
    ("((cat))", [("cat", 1.1 * 1.1)]),
    ("(cat:1.2)", [("cat", 1.2)]),
    ("(cat:-0.5)", [("cat", -0.5)]),
    ("(cat: 1.5 )", [("cat", 1.5)]),
    ("a (red:1.2) chair", [("a ", 1.0), ("red", 1.2), (" chair", 1.0)]),
    ("(a (b) c)", [("a ", 1.1), ("b", 1.1 * 1.1), (" c", 1.1)]),
    ("(a (b) c:0.5)", [("a ", 0.5), ("b", 0.5 * 1.1), (" c", 0.5)]),
    ("(a (b:2) c)", [("a ", 1.1), ("b", 2.0), (" c", 1.1)]),
    ("(time 10:30:1.2)", [("time 10:30", 1.2)]),
    ("(time 10:30)", [("time 10", 30.0)]),
    ("(a:b)", [("a:b", 1.1)]),
    ("(:1.2)", [(":1.2", 1.1)]),
    ("()", []),
    (r"\(cat\)", [("(cat)", 1.0)]),
    (r"(a \(b\):1.3)", [("a (b)", 1.3)]),
    (r"a \\ b", [(r"a \\ b", 1.0)]),
    ("[cat] [[dog]]", [("[cat] [[dog]]", 1.0)]),
    ("{cat|dog}", [("{cat|dog}", 1.0)]),
    ("(cat", [("(cat", 1.0)]),
    ("cat)", [("cat)", 1.0)]),
    ("a) (b)", [("a) (b)", 1.0)]),
    (") (( x ) y", [(") (", 1.0), (" x ", 1.1), (" y", 1.0)]),
    ("(a (b)", [("a ", 1.1), ("(b", 1.1)]),
    ("(cat:nan)", [("cat:nan", 1.1)]),
    ("(cat:1e999)", [("cat:1e999", 1.1)]),
]


@pytest.mark.parametrize(("text", "expected"), WEIGHTS)
def test_weights_are_read(text: str, expected: list[tuple[str, float]]) -> None:
    segments = parse_weights(text)
    assert [segment.text for segment in segments] == [text for text, _ in expected]
    assert [segment.weight for segment in segments] == pytest.approx([weight for _, weight in expected])


def test_parentheses_nested_five_hundred_deep_are_read() -> None:
    (segment,) = parse_weights("(" * 500 + "x" + ":1.5)" + ")" * 499)
    assert segment.text == "x"
    assert segment.weight == 1.5


@settings(deadline=None)
@given(st.text(alphabet="ab (:1.)\\[", max_size=40))
def test_no_text_between_parentheses_is_lost_or_moved(text: str) -> None:
    kept = "".join(segment.text for segment in parse_weights(text))
    left = iter(text)
    assert all(char in left for char in kept)  # `in` consumes: kept is a subsequence of text
    assert [c for c in kept if c in "ab["] == [c for c in text if c in "ab["]


def letters(text: str) -> list[int]:
    """One token per letter."""
    return [ord(char) for char in text if char != " "]


def padded(*tokens: int) -> list[tuple[int, float]]:
    return [(token, 1.0) for token in (START_TOKEN, *tokens, *[END_TOKEN] * (76 - len(tokens)))]


def test_an_empty_prompt_is_one_chunk_of_padding() -> None:
    assert chunked_tokens("", letters) == [padded()]


def test_tokens_carry_the_weight_of_their_segment() -> None:
    (chunk,) = chunked_tokens("a (b:1.5)", letters)
    assert chunk[:4] == [(START_TOKEN, 1.0), (97, 1.0), (98, 1.5), (END_TOKEN, 1.0)]
    assert len(chunk) == 77


def test_75_tokens_fill_one_chunk_and_76_begin_another() -> None:
    assert chunked_tokens("a" * 75, letters) == [padded(*[97] * 75)]
    assert chunked_tokens("a" * 76, letters) == [padded(*[97] * 75), padded(97)]
    assert len(chunked_tokens("a" * 200, letters)) == 3


def test_a_short_segment_is_not_cut_at_a_border() -> None:
    first, second = chunked_tokens("a" * 72 + "(bbbbbbb:1.5)", letters)
    assert first == padded(*[97] * 72)
    assert second == [(START_TOKEN, 1.0), *[(98, 1.5)] * 7, *[(END_TOKEN, 1.0)] * 69]


def test_a_segment_of_eight_tokens_is_cut_at_a_border() -> None:
    first, second = chunked_tokens("a" * 72 + "(bbbbbbbb:1.5)", letters)
    assert first[73:] == [*[(98, 1.5)] * 3, (END_TOKEN, 1.0)]
    assert second[:7] == [(START_TOKEN, 1.0), *[(98, 1.5)] * 5, (END_TOKEN, 1.0)]


def test_a_segment_after_a_full_chunk_begins_the_next() -> None:
    assert chunked_tokens("a" * 75 + "(b:2)", letters)[1][:2] == [(START_TOKEN, 1.0), (98, 2.0)]


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), max_size=12))
def test_every_token_comes_through_once_in_order(lengths: list[int]) -> None:
    text = "".join(f"({chr(97 + index) * length}:1.5)" for index, length in enumerate(lengths))
    chunks = chunked_tokens(text, letters)
    assert {len(chunk) for chunk in chunks} == {77}
    given_back = [token for chunk in chunks for token, _ in chunk if token < START_TOKEN]
    assert given_back == [97 + index for index, length in enumerate(lengths) for _ in range(length)]


@pytest.mark.parametrize(
    "text", ["embedding:bad_hands", "a photo, embedding:bad_hands x", "(embedding:bad_hands)"]
)
def test_an_embedding_is_refused_by_name(text: str) -> None:
    with pytest.raises(PromptError, match="'bad_hands'"):
        chunked_tokens(text, letters)


def test_parsing_needs_no_torch() -> None:
    code = f"import sys, {prompt.__name__}; sys.exit('torch' in sys.modules)"
    roots = [str(Path(prompt.__file__).parents[2]), str(Path(__file__).parents[3])]
    assert run([sys.executable, "-c", f"import sys; sys.path[:0] = {roots}; {code}"], check=False).returncode == 0


def test_a_form_without_a_length_is_one_chunk_filled_up_to_its_least() -> None:
    form = ChunkForm(start=None, end=1, pad=0, length=None, least=6)
    assert chunked_tokens("abc", letters, form) == [
        [(97, 1.0), (98, 1.0), (99, 1.0), (1, 1.0), (0, 1.0), (0, 1.0)]
    ]
    (long,) = chunked_tokens("a" * 500, letters, form)
    assert long == [*[(97, 1.0)] * 500, (1, 1.0)]


def test_openclip_fills_up_with_zeros() -> None:
    (chunk,) = chunked_tokens("a", letters, CLIP_G)
    assert chunk[:4] == [(START_TOKEN, 1.0), (97, 1.0), (END_TOKEN, 1.0), (0, 1.0)]


FORMS = [CLIP_L, CLIP_G, ChunkForm(None, 1, 0, None, 5), ChunkForm(None, None, 0, 12, 12)]


@settings(deadline=None)
@given(st.text(alphabet="ab (:1.)\\[", max_size=200), st.sampled_from(FORMS))
def test_every_token_has_the_number_of_its_stretch_and_all_others_none(text: str, form: ChunkForm) -> None:
    chunks, numbers = chunked_tokens(text, letters, form), word_numbers(text, letters, form)
    assert [len(chunk) for chunk in chunks] == [len(own) for own in numbers]
    segments = parse_weights(text)
    for chunk, own in zip(chunks, numbers, strict=True):
        assert len(chunk) >= form.least
        for (token, weight), number in zip(chunk, own, strict=True):
            if number:
                assert chr(int(token)) in segments[number - 1].text
                assert weight == segments[number - 1].weight
            else:
                assert token in (form.start, form.end, form.pad)
    counted = [number for own in numbers for number in own if number]
    assert counted == sorted(counted)
