"""Which function a call means, as far as the text tells it: imports, other names, `getattr`, `__import__`."""

import ast
from collections.abc import Iterator, Mapping

_IMPORTERS = ("__import__", "import_module", "importlib.import_module")
_LONGEST = 20


def known_names(tree: ast.Module) -> dict[str, str]:
    """What names of a file stand for: `sp` for "subprocess", `run` for "subprocess.run"."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=imported):
                for alias in imported:
                    top = alias.name.partition(".")[0]
                    names[alias.asname or top] = alias.name if alias.asname else top
            case ast.ImportFrom(level=0, module=str(module), names=imported):
                for alias in imported:
                    names[alias.asname or alias.name] = f"{module}.{alias.name}"
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Attribute() | ast.Name() | ast.Call() as value):
                meant = dotted(value, names)
                if meant is not None and "." in meant and name not in names:
                    names[name] = meant
    return names


def dotted(node: ast.expr, names: Mapping[str, str]) -> str | None:
    """The dotted name that an expression means, "os.system" for instance; None when that cannot be told."""
    parts: list[str] = []
    while len(parts) < _LONGEST:
        match node:
            case ast.Attribute(value=inner, attr=attribute):
                parts.append(attribute)
                node = inner
            case ast.Name(id=name):
                return ".".join([names.get(name, name), *reversed(parts)])
            case ast.Call(func=ast.Name(id="getattr"), args=[inner, ast.Constant(value=str(attribute)), *_]):
                parts.append(attribute)
                node = inner
            case ast.Call(func=function, args=[ast.Constant(value=str(module)), *_]) if _imports(function, names):
                return ".".join([module, *reversed(parts)])
            case _:
                return None
    return None


def texts_in(node: ast.AST) -> Iterator[str]:
    """All texts that stand in an expression."""
    return (
        part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )


def _imports(function: ast.expr, names: Mapping[str, str]) -> bool:
    match function:
        case ast.Name(id=name):
            return names.get(name, name) in _IMPORTERS
        case ast.Attribute(attr="import_module"):
            return True
    return False
