"""Which names the text of a module may change something behind: `TABLE["x"] = …`, `table.NODES.append(…)`."""

import ast
from collections.abc import Iterator, Sequence

_CHANGING = frozenset(
    {
        "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "remove",
        "setdefault", "sort", "update",
    }
)  # fmt: skip
_SETTERS = frozenset({"setattr", "delattr"})
_HARMLESS_KINDS = frozenset({"ABCMeta", "EnumMeta", "EnumType"})
_GATHERING = frozenset({"__subclasses__", "__init_subclass__", "__set_name__"})


def touched_names(tree: ast.Module) -> frozenset[str]:
    """The names whose value the module may change when it is imported or later.

    While it is imported every call counts, since nobody knows what the function notes; inside functions only what
    is written as a change.
    """
    return frozenset(_touched(tree))


def gathers(tree: ast.Module) -> bool:
    """Whether the module may notice classes that others make: it asks for subclasses, or is asked for each."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.FunctionDef(name=name) if name in _GATHERING:
                return True
            case ast.ClassDef(keywords=keywords) if any(_is_other_kind(keyword) for keyword in keywords):
                return True
    return False


def _is_other_kind(keyword: ast.keyword) -> bool:
    return keyword.arg == "metaclass" and ast.unparse(keyword.value).rpartition(".")[2] not in _HARMLESS_KINDS


def _touched(tree: ast.Module) -> Iterator[str]:
    waiting: list[tuple[ast.AST, bool]] = [(tree, True)]  # and whether an import runs it
    while waiting:
        node, is_run = waiting.pop()
        for expression in _changed_by(node, is_run=is_run):
            if (name := _root(expression)) is not None:
                yield name
        inner = _body(node)
        waiting.extend((child, is_run and child not in inner) for child in ast.iter_child_nodes(node))


def _body(node: ast.AST) -> Sequence[ast.AST]:
    """What of a function is not run where it is written."""
    if isinstance(node, ast.Lambda):
        return [node.body]
    return node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []


def _changed_by(node: ast.AST, *, is_run: bool) -> Iterator[ast.expr]:
    """The expressions that stand for what a node may change."""
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            yield from filter(_is_part, targets)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            yield from filter(_is_part, [target])
        case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in _SETTERS:
            yield first
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in _CHANGING:
            yield value
        case ast.Call(func=function) if is_run:
            yield function
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if is_run:
            yield from node.decorator_list


def _is_part(target: ast.expr) -> bool:
    return isinstance(target, ast.Subscript | ast.Attribute)


def _root(expression: ast.expr) -> str | None:
    """The name at the start: `table` of `table.NODES["x"]` and of `table.of(1).x`."""
    while True:
        match expression:
            case ast.Attribute(value=inner) | ast.Subscript(value=inner) | ast.Call(func=inner):
                expression = inner
            case ast.Name(id=name):
                return name
            case _:
                return None
