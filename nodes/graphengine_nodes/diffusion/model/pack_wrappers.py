"""Functions of node packs that are put around steps of sampling, each calling the next; ComfyUI's wrappers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

WRAPPABLE = ("apply_model", "calc_cond_batch")
"""The steps that can be wrapped: the network with its scaling, and the predictions for several conditions."""

CALLED_BACK = ("on_pre_run", "on_cleanup")
"""The moments that a pack can be told of: before and after a sampling run, each with the MODEL."""

# Any throughout: a wrapper takes the arguments of what it wraps, and gives its result.
Wrapper = Callable[..., Any]
"""f(executor, *arguments): calls executor(*arguments), or does not."""


class WrapperExecutor:
    """What a wrapper is given: calling it goes on to the next wrapper, and in the end to the step itself."""

    def __init__(
        self, original: Callable[..., Any], class_obj: Any, wrappers: Sequence[Wrapper], idx: int = 0
    ) -> None:
        self.original, self.class_obj = original, class_obj
        self.wrappers, self.idx = list(wrappers), idx
        self.is_last = idx == len(self.wrappers)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The result of the next wrapper."""
        following = WrapperExecutor(self.original, self.class_obj, self.wrappers, self.idx + 1)
        return following.execute(*args, **options)

    def execute(self, *args: Any, **options: Any) -> Any:
        """The result of this wrapper, or of the step when none is left."""
        if self.is_last:
            return self.original(*args, **options)
        return self.wrappers[self.idx](self, *args, **options)

    @classmethod
    def new_executor(
        cls, original: Callable[..., Any], wrappers: Sequence[Wrapper], idx: int = 0
    ) -> WrapperExecutor:
        """An executor for a function that belongs to no object."""
        return cls(original, None, wrappers, idx)

    @classmethod
    def new_class_executor(
        cls, original: Callable[..., Any], class_obj: Any, wrappers: Sequence[Wrapper], idx: int = 0
    ) -> WrapperExecutor:
        """An executor for a method."""
        return cls(original, class_obj, wrappers, idx)


def wrappers_of(kind: str, options: Mapping[str, Any]) -> list[Wrapper]:
    """The wrappers of a kind in "transformer_options", in the order of their keys."""
    by_key: Mapping[Any, Sequence[Wrapper]] = options.get("wrappers", {}).get(kind, {})
    return [wrapper for wrappers in by_key.values() for wrapper in wrappers]


def wrapped(kind: str, step: Callable[..., Any], owner: Any, options: Mapping[str, Any]) -> Callable[..., Any]:
    """The step with the wrappers of its kind around it."""
    wrappers = wrappers_of(kind, options)
    return WrapperExecutor(step, owner, wrappers).execute if wrappers else step


@contextmanager
def told_of_run(model: Any, options: Mapping[str, Any]) -> Iterator[None]:
    """While it is entered a run of the model goes on, of which callbacks in "transformer_options" are told."""
    for callback in _callbacks("on_pre_run", options):
        callback(model)
    try:
        yield
    finally:
        for callback in _callbacks("on_cleanup", options):
            callback(model)


def _callbacks(kind: str, options: Mapping[str, Any]) -> list[Callable[[Any], Any]]:
    by_key = options.get("callbacks", {}).get(kind, {})
    return [callback for callbacks in by_key.values() for callback in callbacks]


def check_called_back(kind: str) -> None:
    """Raise ValueError unless packs can be told of this moment."""
    if kind not in CALLED_BACK:
        raise ValueError(
            f"a pack wants to be told of {kind!r}, which graphengine tells nobody of; "
            f"what it tells of: {', '.join(CALLED_BACK)}"
        )


def check_wrappable(kind: str) -> None:
    """Raise ValueError unless steps of this kind can be wrapped."""
    if kind not in WRAPPABLE:
        raise ValueError(
            f"a wrapper of kind {kind!r} cannot be put around a model in graphengine; "
            f"kinds that can: {', '.join(WRAPPABLE)}"
        )
