"""Runs the code of a pack while it is loaded: in limited time, and what it changes is noticed."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from graphengine.errors import Problem
from graphengine.packs.damage import take_state, undo
from graphengine.packs.discover import Pack, import_names, source_root
from graphengine.packs.failures import failure, took_too_long
from graphengine.packs.import_policy import ImportPolicy
from graphengine.packs.pack_output import output_as_errors
from graphengine.packs.time_limits import TimeIsUp, time_limit

logger = logging.getLogger(__name__)


@contextmanager
def guarded(pack: Pack, policy: ImportPolicy, shared: Sequence[str]) -> Iterator[list[Problem]]:
    """Problems that fill when the code inside is done: what the pack printed and changed.

    `shared` are the packages of stand-ins. Installed packs are the user's own choice and are not watched.

    Raises:
        PackError: the code ends the program, or takes too long.
    """
    problems: list[Problem] = []
    root = source_root(pack)
    if pack.path is None or root is None:
        yield problems
        return
    with output_as_errors(root) as printed:
        before = take_state(import_names(pack), root, shared)
        try:
            with time_limit(policy.timeout):
                yield problems
        except TimeIsUp as error:
            raise took_too_long(pack, error, policy.timeout or 0.0) from error
        except SystemExit as error:
            raise failure(pack, error) from error
        finally:
            texts = [f"changed {change}" for change in undo(before)]
            if printed.binary is not None:
                texts.append(f"printed bytes that are no text, at {printed.binary}")
            problems.extend(_problem(pack, text) for text in texts)
            for problem in problems:
                logger.info("%s", problem.message)


def _problem(pack: Pack, text: str) -> Problem:
    return Problem(
        "pack_changed_process",
        f"pack {pack.name!r} {text} (when it was loaded)",
        hint="other packs may feel it; tell the pack's author, or give the pack a process of its own: "
        f"graphengine nodes isolate {pack.name}",
        severity="warning",
    )
