"""Searching texts with regular expressions of Python's `re`."""

import re

from graphengine.node.api import GraphEngineError


def flags(*, case_insensitive: bool, multiline: bool, dotall: bool) -> re.RegexFlag:
    """The options of the nodes as those of `re`."""
    chosen = {re.IGNORECASE: case_insensitive, re.MULTILINE: multiline, re.DOTALL: dotall}
    found = re.RegexFlag(0)
    for flag, wanted in chosen.items():
        found |= flag if wanted else re.RegexFlag(0)
    return found


def matches(text: str, pattern: str, flags: re.RegexFlag) -> bool:
    """Whether the pattern fits somewhere in the text.

    Raises:
        GraphEngineError: the pattern is no regular expression.
    """
    return _compiled(pattern, flags).search(text) is not None


def extract(text: str, pattern: str, mode: str, group: int, flags: re.RegexFlag) -> str:
    """What the pattern finds, one in a line; "" for nothing.

    `mode` is "First Match", "All Matches" (the first group of each, if there are groups), "First Group" or "All
    Groups" (the group with that number of the first match, or of each).

    Raises:
        GraphEngineError: the pattern is no regular expression.
    """
    compiled = _compiled(pattern, flags)
    found = list(compiled.finditer(text)) if mode.startswith("All") else [*filter(None, [compiled.search(text)])]
    if mode.endswith("Groups") or mode == "First Group":
        number = group if group <= compiled.groups else None
    else:
        number = 1 if mode == "All Matches" and compiled.groups else 0
    return "" if number is None else "\n".join(match[number] or "" for match in found)


def substitute(text: str, pattern: str, replacement: str, count: int, flags: re.RegexFlag) -> str:
    r"""The text with up to `count` matches replaced, all for 0; `\1` in the replacement is the first group.

    Raises:
        GraphEngineError: the pattern is no regular expression, or the replacement names a group it does not have.
    """
    try:
        return _compiled(pattern, flags).sub(replacement, text, count=count)
    except (re.error, IndexError) as error:
        raise GraphEngineError(
            f"input 'replace': {replacement!r} cannot be used: {error}",
            hint="write a backslash as two, and number the groups from 1",
        ) from error


def _compiled(pattern: str, flags: re.RegexFlag) -> re.Pattern[str]:
    try:
        return re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise GraphEngineError(
            f"input 'regex_pattern': {pattern!r} is no regular expression: {error}",
            hint="write a backslash before characters that stand for themselves, such as \\( or \\[",
        ) from error
