"""What a Python file imports and defines, read from its text."""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from graphengine.packs.touches import gathers, touched_names

#: Name that a module or a node class gives to a list of data files, which count as its code.
DATA_FILES = "GRAPHENGINE_CODE_FILES"

#: Functions that import what only running them tells.
_DYNAMIC_NAMES = frozenset({"__import__", "exec", "import_module"})
_DYNAMIC_ATTRIBUTES = frozenset(
    {
        "import_module", "exec_module", "load_module", "spec_from_file_location", "SourceFileLoader", "run_path",
        "run_module", "iter_modules", "walk_packages",
    }
)  # fmt: skip
_HARMLESS_CALLS = frozenset({"print"})


@dataclass(frozen=True, slots=True)
class Import:
    """`from ..module import names` has level 2; `import module` has level 0 and no names; "*" stands for all."""

    level: int
    module: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file says.

    `dynamic` says that it imports what its text does not name, `acts` that importing it does more than import and
    define. `classes` are the qualified names of the classes it writes out, `data` what it says in
    `GRAPHENGINE_CODE_FILES`. `touches` are the imports behind whose names it may change something, `gathers` says
    that it may notice the classes of others. Of a file that is `unread` nobody knows what it says.
    """

    imports: tuple[Import, ...] = ()
    dynamic: bool = False
    acts: bool = False
    classes: frozenset[str] = frozenset()
    data: tuple[str, ...] = ()
    touches: tuple[Import, ...] = ()
    gathers: bool = False
    unread: bool = False


def read_facts(source: bytes) -> FileFacts:
    """What the text of a file says; one that cannot be read may import anything."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an author's invalid escapes are not our user's concern
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return FileFacts(dynamic=True, acts=True)
    imports: list[Import] = []
    bound: list[tuple[str, Import]] = []
    dynamic = False
    for node in _executed(tree):
        match node:
            case ast.Import(names=names):
                imports.extend(Import(0, alias.name) for alias in names)
                bound.extend((a.asname or a.name.partition(".")[0], Import(0, a.name)) for a in names)
            case ast.ImportFrom(level=level, module=module, names=names):
                imports.append(Import(level, module or "", tuple(alias.name for alias in names)))
                bound.extend((a.asname or a.name, Import(level, module or "", (a.name,))) for a in names)
            case ast.Call() if _imports(node):
                named = _named_import(node)
                dynamic = dynamic or named is None
                imports.extend([named] if named is not None else [])
    changed = touched_names(tree) | {"*"}  # nobody knows which names a star stands for
    return FileFacts(
        tuple(imports),
        dynamic,
        acts=any(map(_acts, tree.body)),
        classes=frozenset(_classes(tree)),
        data=tuple(_data(tree)),
        touches=tuple(dict.fromkeys(imported for name, imported in bound if name in changed)),
        gathers=gathers(tree),
    )


def _data(tree: ast.Module) -> Iterator[str]:
    """The texts in a list that the module assigns to `GRAPHENGINE_CODE_FILES`."""
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.List(elts=values) | ast.Tuple(elts=values)) | (
                ast.AnnAssign(target=ast.Name(id=name), value=ast.List(elts=values) | ast.Tuple(elts=values))
            ) if name == DATA_FILES:
                yield from (v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str))


def _executed(tree: ast.Module) -> Iterator[ast.AST]:
    """All nodes but those that only type checkers see."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _imports(call: ast.Call) -> bool:
    match call.func:
        case ast.Name(id=name):
            return name in _DYNAMIC_NAMES
        case ast.Attribute(attr=name):
            return name in _DYNAMIC_ATTRIBUTES
    return False


def _named_import(call: ast.Call) -> Import | None:
    """The import that a call spells out, `import_module("numpy")`; None when only running it tells."""
    match call:
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ) if name and not name.startswith("."):
            return Import(0, name)
    return None


def _acts(statement: ast.stmt) -> bool:
    """Whether a statement at the top of a module changes something beyond it: a bare call, a foreign attribute."""
    match statement:
        case ast.Expr(value=ast.Call(func=function)):
            return not _is_harmless(function)
        case ast.Assign(targets=targets):
            return any(_is_foreign(target) for target in targets)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            return _is_foreign(target)
        case ast.Delete():
            return True
        case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try():
            return any(_acts(inner) for inner in _inside(statement))
    return False


def _inside(statement: ast.stmt) -> Iterator[ast.stmt]:
    """The simple statements in a compound one, however deep; functions and classes are not entered."""
    waiting = [statement]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            match child:
                case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try() | ast.ExceptHandler():
                    waiting.append(child)  # type: ignore[arg-type]  # handlers hold statements like these
                case ast.stmt():
                    yield child


def _is_harmless(function: ast.expr) -> bool:
    """`print(…)`, `logger.info(…)`, and filling a table of the module's own: `NODE_CLASS_MAPPINGS.update(…)`."""
    match function:
        case ast.Name(id=name):
            return name in _HARMLESS_CALLS
        case ast.Attribute(value=ast.Name(id=name), attr="update" | "append" | "extend" | "add"):
            return _is_own_table(name)
        case ast.Attribute(attr="info" | "debug" | "warning" | "error" | "print"):
            return True
    return False


def _is_foreign(target: ast.expr) -> bool:
    match target:
        case ast.Subscript(value=ast.Name(id=name)):
            return not _is_own_table(name)
    return isinstance(target, ast.Attribute | ast.Subscript)


def _is_own_table(name: str) -> bool:
    return name.isupper() or name.startswith("_")


def _classes(tree: ast.Module) -> Iterator[str]:
    """Qualified names of classes, but for those that functions make."""
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        prefix, node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                yield prefix + child.name
                waiting.append((f"{prefix}{child.name}.", child))
            elif isinstance(child, ast.If | ast.Try | ast.With | ast.For | ast.ExceptHandler):
                waiting.append((prefix, child))
