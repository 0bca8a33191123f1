"""Settings of the process that have one value: how to read them, how to set them, what they are called.

A module that is not imported has the settings it begins with; it is not imported to ask for them.
"""

import contextlib
import locale
import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

# Any: settings have values of all types, and torch and numpy are not imported here.
from typing import Any

#: What is read of a module that is not imported, and has no known beginning.
_UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class Setting:
    """A value of the process. `show` says whether a message may tell the new one."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    show: bool = False

    def differs(self, before: Any, now: Any) -> bool:
        """Whether it was changed, as far as that can be told."""
        return before is not now and before is not _UNKNOWN and bool(before != now)

    def told(self, now: Any) -> str:
        """The new value for a message, or nothing."""
        return f", to {now!r}"[:200] if self.show else ""

    def restore(self, value: Any) -> bool:
        """Set the former value; whether that could be done here."""
        # Signals can be set in the main thread only, and a folder may be gone.
        with contextlib.suppress(ValueError, OSError, RuntimeError):
            self.write(value)
            return True
        return False


def _working_directory() -> str | None:
    with contextlib.suppress(OSError):
        return os.getcwd()
    return None


def _set_locale(name: str) -> None:
    locale.setlocale(locale.LC_ALL, name)


def _change_directory(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


def _attribute(module: object, name: str, called: str) -> Setting:
    return Setting(called, partial(getattr, module, name, None), partial(setattr, module, name))


def _signal(number: signal.Signals) -> Setting:
    return Setting(f"the handler of {number.name}", partial(signal.getsignal, number), partial(_handle, number))


def _handle(number: signal.Signals, handler: Any) -> None:
    if handler is None:
        raise ValueError("the former handler was not set from Python")
    signal.signal(number, handler)


def _root_handlers() -> tuple[logging.Handler, ...]:
    return tuple(logging.getLogger().handlers)


def _set_root_handlers(handlers: tuple[logging.Handler, ...]) -> None:
    logging.getLogger().handlers[:] = handlers


def _of(
    module: str, name: str, read: Callable[[Any], Any], write: Callable[[Any, Any], None], begins: Any = _UNKNOWN
) -> Setting:
    """A setting of a module that may not be imported; `begins` is its value when it was just imported."""

    def read_now() -> Any:
        found = sys.modules.get(module)
        return begins if found is None else read(found)

    return Setting(name, read_now, lambda value: write(sys.modules[module], value))


# Any: torch and numpy are not imported here.
def _set_device(torch: Any, device: str) -> None:
    torch.set_default_device(None if device == "cpu" else device)  # without one, no mode is in the way


def _numpy_random(numpy: Any) -> tuple[Any, ...]:
    kind, keys, *rest = numpy.random.get_state()
    return (kind, keys.tobytes(), *rest)


def _set_numpy_random(numpy: Any, state: tuple[Any, ...]) -> None:
    kind, keys, *rest = state
    numpy.random.set_state((kind, numpy.frombuffer(keys, numpy.uint32), *rest))


def _torch_random(torch: Any) -> tuple[int, bytes]:
    return torch.initial_seed(), torch.get_rng_state().numpy().tobytes()


def _set_torch_random(torch: Any, state: tuple[int, bytes]) -> None:
    torch.set_rng_state(torch.frombuffer(bytearray(state[1]), dtype=torch.uint8))


_TORCH = (
    ("default dtype", lambda t: str(t.get_default_dtype()).removeprefix("torch."),
     lambda t, v: t.set_default_dtype(getattr(t, v)), "float32"),
    ("default device", lambda t: str(t.get_default_device()), _set_device, "cpu"),
    ("grad mode", lambda t: t.is_grad_enabled(), lambda t, v: t.set_grad_enabled(v), True),
    ("number of threads", lambda t: t.get_num_threads(), lambda t, v: t.set_num_threads(v), _UNKNOWN),
    ("deterministic mode", lambda t: t.are_deterministic_algorithms_enabled(),
     lambda t, v: t.use_deterministic_algorithms(v), False),
    ("precision of matrix products", lambda t: t.get_float32_matmul_precision(),
     lambda t, v: t.set_float32_matmul_precision(v), "highest"),
    ("benchmark mode of cuDNN", lambda t: t.backends.cudnn.benchmark,
     lambda t, v: setattr(t.backends.cudnn, "benchmark", v), False),
)  # fmt: skip

#: All that is looked at, the cheap ones first.
SETTINGS: tuple[Setting, ...] = (
    Setting("the working directory", _working_directory, _change_directory, show=True),
    *(_attribute(sys, name, f"sys.{name}") for name in ("stdin", "stdout", "stderr", "excepthook", "displayhook")),
    _attribute(threading, "excepthook", "threading.excepthook"),
    Setting("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, show=True),
    Setting(
        "the locale", partial(locale.setlocale, locale.LC_ALL), _set_locale, show=True
    ),
    Setting("the handlers of the root logger", _root_handlers, _set_root_handlers),
    Setting("the level of the root logger", lambda: logging.getLogger().level, logging.getLogger().setLevel),
    Setting("what logging.disable hides", lambda: logging.root.manager.disable, logging.disable, show=True),
    *(_signal(number) for number in sorted(signal.Signals, key=int)),
    Setting("the random numbers of `random`", random.getstate, random.setstate),
    _of("socket", "the default timeout of sockets", lambda m: m.getdefaulttimeout(),
        lambda m, v: m.setdefaulttimeout(v), None),
    _of("numpy", "what numpy does about errors", lambda m: tuple(m.geterr().items()),
        lambda m, v: m.seterr(**dict(v))),
    _of("numpy", "the random numbers of numpy", _numpy_random, _set_numpy_random),
    *(_of("torch", f"torch's {name}", read, write, begins) for name, read, write, begins in _TORCH),
    _of("torch", "the random numbers of torch", _torch_random, _set_torch_random),
)  # fmt: skip
