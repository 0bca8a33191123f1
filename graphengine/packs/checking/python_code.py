"""What the text of a Python file says that it does; nothing of it is imported or run."""

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from graphengine.packs.checking.calls import found_in_call
from graphengine.packs.checking.findings import Finding, finding
from graphengine.packs.checking.names import dotted, known_names

_MOST_NODES = 2_000_000
_LONG = 800
_OPAQUE = re.compile(r"[A-Za-z0-9+/=_-]{800,}|[0-9a-fA-F\s]{800,}|(\\x[0-9a-fA-F]{2}){200,}")
_INVISIBLE = re.compile("[\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f]")
_SECRETS = re.compile(
    r"(^|[/\\~])\.(ssh|aws|gnupg|kube|docker|netrc|npmrc|pypirc)([/\\]|$)|id_(rsa|ed25519)\b"
    r"|Login Data|Local State"
    r"|wallet\.dat|Cookies\.sqlite|key[34]\.db|/etc/(shadow|passwd)|discord(app)?\.com/api/webhooks|HUGGINGFACE_TOKEN",
)
_HARMLESS = re.compile(
    r"print|(\w+\.)*(info|debug|warning|error|print|getLogger|basicConfig|update|append|extend|add|setdefault)"
    r"|.*add_model_folder_path|re\.compile|.*register"
)
_SHARED: Mapping[str, str] = MappingProxyType(
    {
        "sys.path": "changes_path",
        "sys.meta_path": "changes_path",
        "sys.modules": "changes_modules",
        "os.environ": "changes_environment",
    }
)
_Pair = tuple[ast.AST, bool]


def check_python(file: str, content: bytes) -> Iterator[Finding]:
    """The findings in a Python file."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield finding(file, content[: error.start].count(b"\n") + 1, "no_text", "not UTF-8")
        return
    if "\0" in text:
        yield finding(file, text[: text.index("\0")].count("\n") + 1, "no_text", "a zero byte")
        return
    if (hidden := _INVISIBLE.search(text)) is not None:
        line = text[: hidden.start()].count("\n") + 1
        yield finding(file, line, "invisible_text", f"U+{ord(hidden[0]):04X}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an author's invalid escapes are not our user's concern
            tree = ast.parse(text)
    except SyntaxError as error:
        yield finding(file, error.lineno or 1, "wrong_syntax", error.msg)
        return
    except (RecursionError, MemoryError, ValueError):
        yield finding(file, 1, "too_deep")
        return
    yield from _in_tree(file, tree)


def _in_tree(file: str, tree: ast.Module) -> Iterator[Finding]:
    names = known_names(tree)
    acted: list[int] = []
    for count, (node, at_import) in enumerate(_nodes(tree)):
        if count > _MOST_NODES:
            yield finding(file, 1, "too_large", f"more than {_MOST_NODES} parts")
            return
        line = getattr(node, "lineno", 1)
        for code, what in dict.fromkeys(_in_node(node, names)):
            yield finding(file, line, code, what, at_import=at_import)
        if at_import and _acts(node, names):
            acted.append(line)
    if acted:
        more = f" and {len(acted) - 1} more" if len(acted) > 1 else ""
        yield finding(file, min(acted), "acts_at_import", f"line {min(acted)}{more}")


def _in_node(node: ast.AST, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Codes of what a part of the code does, with what it is."""
    match node:
        case ast.Call():
            yield from found_in_call(node, names)
        case ast.Constant(value=str() | bytes() as value):
            yield from _in_text(value)
        case ast.Assign() | ast.AugAssign() | ast.Delete() | ast.AnnAssign():
            yield from _in_assignment(node, names)


def _acts(node: ast.AST, names: Mapping[str, str]) -> bool:
    """Whether a statement is a call that may do anything."""
    match node:
        case ast.Expr(value=ast.Call(func=function)):
            return not _HARMLESS.fullmatch(dotted(function, names) or "")
    return False


def _nodes(tree: ast.Module) -> Iterator[_Pair]:
    """All nodes, each with whether it runs when the file is imported; bodies of functions do not."""
    waiting: list[_Pair] = [(tree, True)]
    while waiting:
        node, at_import = waiting.pop()
        yield node, at_import
        match node:
            case ast.FunctionDef(body=body) | ast.AsyncFunctionDef(body=body):
                inside = frozenset(map(id, body))
                waiting.extend((c, at_import and id(c) not in inside) for c in ast.iter_child_nodes(node))
            case ast.Lambda():
                waiting.extend((child, False) for child in ast.iter_child_nodes(node))
            case ast.If(test=test) if _is_main(test):
                waiting.extend((child, False) for child in ast.iter_child_nodes(node))
            case _:
                waiting.extend((child, at_import) for child in ast.iter_child_nodes(node))


def _is_main(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=ast.Name(id="__name__")):
            return True
    return False


def _in_text(value: str | bytes) -> Iterator[tuple[str, str]]:
    text = value if isinstance(value, str) else value.decode("latin-1")
    if len(text) >= _LONG and (_OPAQUE.search(text) or _is_binary(value)):
        yield "long_text", f"{len(text)} characters"
    if len(text) < _LONG and (secret := _SECRETS.search(text)) is not None:
        yield "names_secrets", repr(secret[0])


def _is_binary(value: str | bytes) -> bool:
    return isinstance(value, bytes) and sum(byte < 9 or byte > 126 for byte in value) > len(value) // 4


def _in_assignment(
    node: ast.Assign | ast.AugAssign | ast.Delete | ast.AnnAssign, names: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """What is changed that belongs to others."""
    targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else [node.target]
    for target in targets:
        place = target.value if isinstance(target, ast.Subscript) else target
        if isinstance(target, ast.Name):
            continue
        name = dotted(place, names)
        found = None if name is None else _changed(name)
        if found is None and isinstance(target, ast.Attribute) and _is_of_module(target, names):
            found = "patches_module"
        if found is not None and name is not None:
            yield found, name


def _changed(name: str) -> str | None:
    """The code of a change to something that all share."""
    if name in _SHARED:
        return _SHARED[name]
    if name.startswith(("builtins.", "__builtins__")):
        return "changes_builtins"
    return "changes_torch" if name.startswith("torch.backends.") else None


def _is_of_module(target: ast.Attribute, names: Mapping[str, str]) -> bool:
    """Whether an attribute is one of something that was imported."""
    base: ast.expr = target.value
    while isinstance(base, ast.Attribute):
        base = base.value
    return isinstance(base, ast.Name) and base.id in names
