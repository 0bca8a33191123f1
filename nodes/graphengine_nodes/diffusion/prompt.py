"""Prompt text → weighted tokens in chunks, with the semantics of ComfyUI. Pure: needs neither torch nor a model.

`(word)` multiplies the weight by 1.1, nested parentheses multiply again; `(word:1.3)` sets the weight, whatever
stands around it. `\\(` and `\\)` are literal parentheses. Square brackets mean nothing. Parentheses that do not
pair are text. Each stretch of one weight, a segment, is tokenised by itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from graphengine.node.api import GraphEngineError

START_TOKEN = 49406
END_TOKEN = 49407
CHUNK = 77
"""Tokens per chunk: start, 75 of text, end; the length CLIP was trained with."""

_SHORT = 8  # segments of fewer tokens are kept whole at a chunk border
_EMPHASIS = 1.1
# Escaped parentheses become characters that mean nothing to the parser, and real ones after it.
_ESCAPES = (("\\)", "\0\1", ")"), ("\\(", "\0\2", "("))

WeightedToken = tuple[int, float]
"""A token id and its weight; 1.0 leaves the token as it is."""


class PromptError(GraphEngineError):
    """The prompt asks for something that cannot be done."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of prompt text of one weight."""

    text: str
    weight: float


def parse_weights(text: str) -> list[Segment]:
    """The segments of a prompt in order; an empty prompt has none."""
    for escape, stand_in, _ in _ESCAPES:
        text = text.replace(escape, stand_in)
    segments: list[Segment] = []
    waiting = [(True, Segment(text, 1.0))]  # a stack in place of recursion: (may hold groups, segment)
    while waiting:
        divisible, part = waiting.pop()
        if divisible:
            pieces = [_piece(piece, part.weight) for piece in _split(part.text)]
            waiting.extend(reversed(pieces))
        else:
            segments.append(part)
    return [Segment(_unescape(segment.text), segment.weight) for segment in segments]


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


def _unescape(text: str) -> str:
    for _, stand_in, literal in _ESCAPES:
        text = text.replace(stand_in, literal)
    return text


def chunked_tokens(text: str, tokenize: Callable[[str], list[int]]) -> list[list[WeightedToken]]:
    """Chunks of exactly 77 weighted tokens: start token, text, end token, then end tokens as padding.

    tokenize gives the ids of a text without start and end. There is at least one chunk.

    Raises:
        PromptError: the prompt names a textual inversion embedding.
    """
    chunks: list[list[WeightedToken]] = [[(START_TOKEN, 1.0)]]
    for segment in parse_weights(text):
        _refuse_embeddings(segment.text)
        tokens = [(token, segment.weight) for token in tokenize(segment.text)]
        short = len(tokens) < _SHORT
        while tokens:
            room = CHUNK - 1 - len(chunks[-1])
            fits = len(tokens) <= room
            if fits or not short:
                chunks[-1] += tokens[:room]
                tokens = tokens[room:]
            if not fits:
                chunks.append([(START_TOKEN, 1.0)])
    return [chunk + [(END_TOKEN, 1.0)] * (CHUNK - len(chunk)) for chunk in chunks]


def _refuse_embeddings(text: str) -> None:
    if found := re.search(r"(?:^|[ \n])embedding:(\S*)", text):
        raise PromptError(
            f"the prompt uses the embedding {found[1]!r}: textual inversion is not supported yet",
            hint="remove `embedding:…` from the prompt",
        )
