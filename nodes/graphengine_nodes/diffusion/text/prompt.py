"""Prompt text → weighted tokens in chunks, with the semantics of ComfyUI. Pure: needs neither torch nor a model.

`(word)` multiplies the weight by 1.1, nested parentheses multiply again; `(word:1.3)` sets the weight, whatever
stands around it. `\\(` and `\\)` are literal parentheses. Square brackets mean nothing. Parentheses that do not
pair are text. Each stretch of one weight, a segment, is tokenised by itself. `embedding:name` stands for the
vectors of a textual inversion embedding; the text before and behind it is tokenised by itself too.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from graphengine.node.api import GraphEngineError

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

START_TOKEN = 49406
END_TOKEN = 49407
CHUNK = 77
"""Tokens per chunk: start, 75 of text, end; the length CLIP was trained with."""

_SHORT = 8  # segments of fewer tokens are kept whole at a chunk border
_EMPHASIS = 1.1
# Escaped parentheses become characters that mean nothing to the parser, and real ones after it.
_ESCAPES = (("\\)", "\0\1", ")"), ("\\(", "\0\2", "("))

_EMBEDDING = re.compile(r"(?:^|[ \n])embedding:(\S*)")

Token = Union[int, "Tensor"]
"""A token id, or a vector (D,) that takes the place of a token's embedding."""

WeightedToken = tuple[Token, float]
"""A token and its weight; 1.0 leaves the token as it is."""

FindEmbedding = Callable[[str], "Sequence[Tensor] | None"]
"""The vectors of an embedding by its name; None when there is no such file."""


class PromptError(GraphEngineError):
    """The prompt asks for something that cannot be done."""


@dataclass(frozen=True, slots=True)
class ChunkForm:
    """How a text tower wants its tokens.

    start and end: the ids around the text of each chunk, if any. pad: what fills a chunk up to `least` tokens.
    length: the tokens of a chunk at most; None for one chunk as long as the prompt.
    """

    start: int | None = START_TOKEN
    end: int | None = END_TOKEN
    pad: int = END_TOKEN
    length: int | None = CHUNK
    least: int = CHUNK

    def chunk(self, tokens: Sequence[WeightedToken], least: int | None = None) -> list[WeightedToken]:
        """The tokens of a text between start and end, filled up to `least`."""
        begin = [] if self.start is None else [(self.start, 1.0)]
        finish = [] if self.end is None else [(self.end, 1.0)]
        chunk: list[WeightedToken] = [*begin, *tokens, *finish]
        return chunk + [(self.pad, 1.0)] * ((self.least if least is None else least) - len(chunk))

    @property
    def room(self) -> float:
        """How many tokens of text a chunk takes."""
        around = (self.start is not None) + (self.end is not None)
        return math.inf if self.length is None else self.length - around


CLIP_L = ChunkForm()
"""The form of CLIP-L: padded with end tokens."""

CLIP_G = ChunkForm(pad=0)
"""The form of OpenCLIP's towers (CLIP-H of SD2, CLIP-G of SDXL): padded with zeros."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of prompt text of one weight."""

    text: str
    weight: float


def parse_weights(text: str) -> list[Segment]:
    """The segments of a prompt in order; an empty prompt has none."""
    segments = weighted_segments(escaped(text))
    return [Segment(unescaped(segment.text), segment.weight) for segment in segments]


def escaped(text: str) -> str:
    """The prompt with characters that `weighted_segments` reads as text in place of `\\(` and `\\)`."""
    for escape, stand_in, _ in _ESCAPES:
        text = text.replace(escape, stand_in)
    return text


def weighted_segments(text: str, weight: float = 1.0) -> list[Segment]:
    """The segments of an escaped prompt, itself of this weight, still escaped."""
    segments: list[Segment] = []
    waiting = [(True, Segment(text, weight))]  # a stack in place of recursion: (may hold groups, segment)
    while waiting:
        divisible, part = waiting.pop()
        if divisible:
            pieces = [_piece(piece, part.weight) for piece in _split(part.text)]
            waiting.extend(reversed(pieces))
        else:
            segments.append(part)
    return segments


def _split(text: str) -> Iterator[str]:
    """Groups in parentheses of the outermost level, and the text between them."""
    begin = level = 0
    for found in re.finditer(r"[()]", text):
        at = found.start()
        if found[0] == "(":
            if level == 0 and at > begin:
                yield text[begin:at]
                begin = at
            level += 1
        else:
            level -= 1
            if level == 0:
                yield text[begin : at + 1]
                begin = at + 1
    if begin < len(text):
        yield text[begin:]


def _piece(text: str, weight: float) -> tuple[bool, Segment]:
    """Whether the piece is a group, and what it holds."""
    if len(text) > 1 and text[0] == "(" and text[-1] == ")":
        return True, _emphasised(text[1:-1], weight)
    return False, Segment(text, weight)


def _emphasised(text: str, weight: float) -> Segment:
    """The inside of a group with its weight: the number behind the last colon, or 1.1 times the weight around."""
    colon = text.rfind(":")
    if colon > 0:
        try:
            given = float(text[colon + 1 :])
        except ValueError:
            given = math.nan
        if math.isfinite(given):  # `nan` and `inf` would blacken the picture; they stay text
            return Segment(text[:colon], given)
    return Segment(text, weight * _EMPHASIS)


def unescaped(text: str) -> str:
    """The text of an escaped segment, with parentheses in place of the characters that stood for them."""
    for _, stand_in, literal in _ESCAPES:
        text = text.replace(stand_in, literal)
    return text


def refuse_embeddings(name: str) -> None:
    """The `FindEmbedding` of a text encoder that was loaded without a folder of embeddings.

    Raises:
        PromptError: in any case.
    """
    raise PromptError(
        f"the prompt uses the embedding {name!r}, but this text encoder knows no folder of embeddings",
        hint="remove `embedding:…` from the prompt",
    )


def chunked_tokens(
    text: str,
    tokenize: Callable[[str], list[int]],
    form: ChunkForm = CLIP_L,
    find: FindEmbedding = refuse_embeddings,
) -> list[list[WeightedToken]]:
    """Chunks of weighted tokens in a tower's form; there is at least one.

    tokenize gives the ids of a text without start and end. find gives the vectors of `embedding:name`; one that
    it does not know is left out with a warning.
    """
    chunks = _filled(_groups(text, tokenize, find), form)
    return [form.chunk([token for token, _ in chunk]) for chunk in chunks]


def word_numbers(
    text: str,
    tokenize: Callable[[str], list[int]],
    form: ChunkForm = CLIP_L,
    find: FindEmbedding = refuse_embeddings,
) -> list[list[int]]:
    """For each token of `chunked_tokens` which stretch of text it comes from, counted from 1; 0 for all others."""
    numbers = []
    for chunk in _filled(_groups(text, tokenize, find), form):
        length = len(form.chunk([token for token, _ in chunk]))
        before = [0] * (form.start is not None)
        own = [*before, *(number for _, number in chunk)]
        numbers.append(own + [0] * (length - len(own)))
    return numbers


def _filled(groups: Iterable[list[WeightedToken]], form: ChunkForm) -> list[list[tuple[WeightedToken, int]]]:
    """Each chunk's share of the groups, and the number of the group that a token is of, from 1."""
    chunks: list[list[tuple[WeightedToken, int]]] = [[]]
    for number, group in enumerate(groups, 1):
        tokens = [(token, number) for token in group]
        short = len(tokens) < _SHORT
        while tokens:
            room = form.room - len(chunks[-1])
            fits = len(tokens) <= room
            if fits:
                chunks[-1] += tokens
                break
            if not short:
                chunks[-1] += tokens[: int(room)]
                tokens = tokens[int(room) :]
            chunks.append([])
    return chunks


def _groups(text: str, tokenize: Callable[[str], list[int]], find: FindEmbedding) -> Iterator[list[WeightedToken]]:
    """The tokens of each stretch of text and of each embedding."""
    for segment in parse_weights(text):
        before, *found = _EMBEDDING.split(segment.text)
        yield [(token, segment.weight) for token in tokenize(before)]
        for name, behind in zip(found[::2], found[1::2], strict=True):
            vectors, left = _embedding(name, find)
            yield [(vector, segment.weight) for vector in vectors]
            yield [(token, segment.weight) for token in tokenize(left + behind)]


def _embedding(name: str, find: FindEmbedding) -> tuple[Sequence[Tensor], str]:
    """The vectors of an embedding, and what of the name is text: commas behind it."""
    vectors, left = find(name), ""
    if vectors is None and name.endswith(","):
        stripped = name.rstrip(",")
        left = name[len(stripped) :]
        vectors = find(stripped)
    if vectors is None:
        logger.warning("there is no embedding %r; the prompt is encoded without it", name)
        return (), ""
    return vectors, left
