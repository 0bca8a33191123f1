"""Arithmetic that users write: a part of Python's expressions, evaluated by itself, never run as code.

Numbers, names, `+ - * / // % **`, `& | ^ ~ << >>`, comparisons, `and or not`, `x if condition else y`, and calls
of the functions below. Sizes are limited, so that no expression takes long or needs much memory.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphengine.node.api import GraphEngineError

_LONGEST = 4096  # characters
_DEEPEST = 60  # parts within parts
_BITS = 4096  # of whole numbers

Number = int | float

# Any: operands are numbers, or the list `values`.
_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _power(base: Any, exponent: Any) -> Any:
    _check_power(base, exponent)
    return base**exponent


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "sum": sum,
    "min": min,
    "max": max,
    "abs": abs,
    "round": round,
    "pow": _power,
    "sqrt": math.sqrt,
    "ceil": math.ceil,
    "floor": math.floor,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "int": int,
    "float": float,
}
"""The functions that an expression may call, by name."""


def evaluate(expression: str, values: Mapping[str, Number]) -> Number:
    """The number, or truth value, of an expression; the list of all values is there as `values`.

    Raises:
        GraphEngineError: it is no such expression, asks for a name that is not there, or has no finite result.
    """
    text = " ".join(expression.split())
    if not text:
        raise GraphEngineError("the expression is empty", hint="write a formula such as 'a + b'")
    names: dict[str, Number | Sequence[Number]] = {"values": list(values.values()), **values}
    try:
        result = _Evaluation(names).value(_parsed(text))
        finite = isinstance(result, int) or (isinstance(result, float) and math.isfinite(result))
    except GraphEngineError:
        raise
    except (ArithmeticError, TypeError, ValueError) as error:
        raise _refused(text, str(error)) from error
    if not finite:
        raise _refused(text, f"its result is {result!r}, which is no finite number")
    number: Number = result
    return number


def _refused(text: str, why: str) -> GraphEngineError:
    shown = text if len(text) <= 80 else f"{text[:77]}…"
    return GraphEngineError(f"the expression {shown!r} cannot be computed: {why}")


def _parsed(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise _refused(text, f"it has {len(text)} characters, at most {_LONGEST} are allowed")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise _refused(text, reason) from error
    level, depth = [tree], 0
    while level:
        depth += 1
        level = [child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    if depth > _DEEPEST:
        raise _refused(text, f"it is nested {depth} levels deep, at most {_DEEPEST} are allowed")
    return tree


class _Evaluation:
    """Computes a tree whose depth was checked, so that recursion ends soon."""

    def __init__(self, names: Mapping[str, Number | Sequence[Number]]) -> None:
        self._names = names

    # Any: a number, or the list `values`.
    def value(self, node: ast.expr) -> Any:
        """What a part of the expression gives."""
        match node:
            case ast.Constant(value=bool() | int() | float() as number):
                return number
            case ast.Name(id=name):
                return self._named(name)
            case ast.BinOp(left=left, op=op, right=right):
                return _limited(_combined(op, self.value(left), self.value(right)))
            case ast.UnaryOp(op=op, operand=operand):
                return _UNARY[type(op)](self.value(operand))
            case ast.BoolOp():
                return self._logic(node)
            case ast.Compare():
                return self._comparison(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body) if self.value(test) else self.value(orelse)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
                return _limited(FUNCTIONS[name](*map(self.value, arguments)))
        raise ValueError(f"{ast.unparse(node)!r} is not allowed; known functions: {', '.join(FUNCTIONS)}")

    def _named(self, name: str) -> Any:
        if name not in self._names:
            raise ValueError(f"{name!r} is not known; there are {', '.join(self._names)}")
        return self._names[name]

    def _logic(self, node: ast.BoolOp) -> Any:
        """The first operand that decides, or the last one, as in Python."""
        stops_at = isinstance(node.op, ast.Or)
        result: Any = None
        for operand in node.values:
            result = self.value(operand)
            if bool(result) is stops_at:
                break
        return result

    def _comparison(self, node: ast.Compare) -> bool:
        left = self.value(node.left)
        for op, operand in zip(node.ops, node.comparators, strict=True):
            if type(op) not in _COMPARED:
                raise ValueError(f"{ast.unparse(node)!r} is not allowed")
            right = self.value(operand)
            if not _COMPARED[type(op)](left, right):
                return False
            left = right
        return True


def _combined(op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(left, list) or isinstance(right, list):
        raise TypeError("a list stands where a number is needed")
    if isinstance(op, ast.Pow):
        _check_power(left, right)
    if isinstance(op, ast.LShift) and right > _BITS:
        raise OverflowError("the number would be too large")
    if type(op) not in _BINARY:
        raise ValueError("this operator is not allowed")
    return _BINARY[type(op)](left, right)


def _check_power(base: Any, exponent: Any) -> None:
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and exponent > 0 and base.bit_length() * exponent > _BITS:
        raise OverflowError("the number would be too large")


def _limited(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > 2 * _BITS:
        raise OverflowError("the number would be too large")
    return value
