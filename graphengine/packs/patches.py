"""Functions and classes of others that a pack replaces for the whole process.

Of the stand-ins every function, class and method is compared; of other packages a list of what is called by all.
A module that was imported together with the pack has no state before: there, what was written in the pack's own
files counts as replaced.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType

# Any: modules hold values of all types.
from typing import Any

#: What engines and packs call of modules that all share: module, class or none, names.
_WATCHED = (
    ("builtins", "", "print open input __import__ eval exec isinstance"),
    ("os", "", "getenv listdir makedirs remove system"),
    ("subprocess", "", "run call check_call check_output Popen"),
    ("asyncio", "", "run get_event_loop new_event_loop"),
    ("ssl", "", "_create_default_https_context create_default_context"),
    ("socket", "", "socket getaddrinfo"),
    ("json", "", "load loads dump dumps"),
    ("json.encoder", "JSONEncoder", "default encode iterencode"),
    ("importlib", "", "import_module reload"),
    ("logging", "Logger", "debug info warning error log handle"),
    ("warnings", "", "warn showwarning"),
    ("random", "", "random randint seed"),
    ("time", "", "time sleep perf_counter"),
    ("numpy", "", "array asarray load save clip bool float int object"),
    ("PIL.Image", "", "open new fromarray MAX_IMAGE_PIXELS"),
    ("PIL.Image", "Image", "save resize convert crop"),
    ("PIL.ImageFile", "", "LOAD_TRUNCATED_IMAGES"),
    ("safetensors.torch", "", "load_file save_file load"),
    ("torch", "", "load save randn rand randn_like manual_seed compile tensor zeros device cat matmul"),
    ("torch", "Tensor", "to cuda cpu half float"),
    ("torch.nn", "Module", "__call__ to load_state_dict state_dict forward __setattr__ __getattr__"),
    ("torch.nn", "Linear", "__init__ forward reset_parameters"),
    ("torch.nn", "Conv2d", "__init__ forward _conv_forward reset_parameters"),
    ("torch.nn", "GroupNorm", "__init__ forward reset_parameters"),
    ("torch.nn", "LayerNorm", "__init__ forward reset_parameters"),
    ("torch.nn.functional", "", "scaled_dot_product_attention interpolate linear conv2d group_norm layer_norm"),
    ("torch.cuda", "", "empty_cache is_available synchronize mem_get_info"),
    ("torch.utils.checkpoint", "", "checkpoint"),
    ("transformers", "", "PreTrainedModel CLIPTokenizer CLIPTextModel"),
)
_ABSENT = object()
# Any: modules hold values of all types.
_Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Patches:
    """What the names of modules and classes stood for, by module and class."""

    shared: tuple[str, ...]
    modules: Mapping[str, Mapping[str, _Values]]
    watched: Mapping[tuple[str, str], _Values]

    @classmethod
    def take(cls, shared: Sequence[str] = ()) -> "Patches":
        """What they stand for now; of the modules in the packages `shared` all names, of others a list."""
        prefixes = tuple(f"{package}." for package in shared)
        modules = {name: _named_by(module) for name, module in _shared_modules(prefixes)}
        watched = {(module, cls): _values(module, cls, names) for module, cls, names in _present()}
        return cls(prefixes, modules, watched)

    def found(self, roots: tuple[str, ...]) -> Iterator[str]:
        """What stands for something else now, in words; `roots` are the paths of the pack."""
        for name, module in _shared_modules(self.shared):
            public = _public(name, self.shared)
            before = self.modules.get(name, {})
            for owner, values in _named_by(module).items():
                known = before.get(owner)
                for key, value in values.items():
                    was = _ABSENT if known is None else known.get(key, _ABSENT)
                    if _is_replaced(was, value, roots, owner_known=known is not None):
                        yield _told(public, owner, key)
        for module_name, owner, names in _present():
            known = self.watched.get((module_name, owner))
            for key, value in _values(module_name, owner, names).items():
                was = _ABSENT if known is None else known[key]
                if value is not _ABSENT and value is not was and (known is not None or _is_of(value, roots)):
                    yield _told(module_name, owner, key)


def _told(*names: str) -> str:
    return f"{'.'.join(filter(None, names))} for everybody"


def _is_replaced(was: Any, value: Any, roots: tuple[str, ...], *, owner_known: bool) -> bool:
    """Of what was imported with the pack, only functions and classes count that were written in its files."""
    if was is _ABSENT:
        return not owner_known and _is_of(value, roots)
    return value is not was and not isinstance(value, ModuleType) and callable(was)


def _shared_modules(prefixes: tuple[str, ...]) -> list[tuple[str, ModuleType]]:
    return [(name, module) for name, module in list(sys.modules.items()) if name.startswith(prefixes or ("\0",))]


def _public(name: str, prefixes: tuple[str, ...]) -> str:
    return next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)


def _named_by(module: ModuleType) -> dict[str, _Values]:
    """The names in a module, and below the names of its classes what is in them."""
    names = dict(vars(module))
    classes = {
        name: dict(vars(value))
        for name, value in names.items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }
    return {"": names, **classes}


def _present() -> Iterator[tuple[str, str, str]]:
    return (entry for entry in _WATCHED if entry[0] in sys.modules)


def _values(module: str, owner: str, names: str) -> _Values:
    found: Any = sys.modules[module]
    if owner:
        found = vars(found).get(owner)
    own = {} if found is None else vars(found)
    return {name: own.get(name, _ABSENT) for name in names.split()}


def _is_of(value: Any, roots: tuple[str, ...]) -> bool:
    """Whether a function or class was written in the files of a pack."""
    function = getattr(value, "__func__", value)
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        file: object = code.co_filename
    else:
        module = sys.modules.get(getattr(value, "__module__", None) or "") if isinstance(value, type) else None
        file = getattr(module, "__file__", None)
    return isinstance(file, str) and is_below(file, roots)


def is_below(file: str, roots: tuple[str, ...]) -> bool:
    """Whether a file is one of the roots or lies in one."""
    return file in roots or file.startswith(tuple(root + os.sep for root in roots))
