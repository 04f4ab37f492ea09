"""Small faults that can be put into the body of a function.

A comparison moves its boundary (``<`` and ``<=``) or turns (``==`` and ``!=``); ``+`` and ``-``,
``*`` and ``//``, ``and`` and ``or``, True and False change places; a number grows by one; ``not``
goes; a function returns None; a call that stands alone is left out; a condition is negated.
Messages of errors and logs stay as they are.
"""

import ast
import copy
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LOGS = {"debug", "info", "warning", "error", "exception", "log", "warn"}
OTHER = {ast.Lt: ast.LtE, ast.Gt: ast.GtE, ast.Eq: ast.NotEq, ast.Is: ast.IsNot, ast.In: ast.NotIn}
OTHER |= {ast.Add: ast.Sub, ast.Mult: ast.FloorDiv, ast.And: ast.Or}
OTHER |= {new: old for old, new in OTHER.items()}


class Fault(NamedTuple):
    """The bytes ``start`` to ``end`` of a file become ``text``."""

    path: str
    line: int
    operator: str
    start: int
    end: int
    text: str
    lines: range  # of the statement

    def changed(self) -> bytes:
        """Return the file with the fault."""
        source = Path(self.path).read_bytes()
        return source[: self.start] + self.text.encode() + source[self.end :]


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    """Yield an operator, the node that it replaces and what it puts there."""
    new = copy.deepcopy(node)
    match node:
        case ast.Compare():
            new.ops[0] = OTHER[type(node.ops[0])]()
            yield "comparison", node, new
        case ast.BinOp() | ast.AugAssign() | ast.BoolOp() if type(node.op) in OTHER:
            new.op = OTHER[type(node.op)]()
            yield type(node.op).__name__.lower(), node, new
        case ast.UnaryOp(op=ast.Not()):
            yield "not", node, node.operand
        case ast.Constant(value=bool()):
            yield "bool", node, ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield "number", node, ast.Constant(node.value + 1)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return", value, ast.Constant(None)
        case ast.Expr(value=ast.Call()):
            yield "call", node, ast.Pass()
        case ast.If() | ast.IfExp():
            yield "condition", node.test, ast.UnaryOp(ast.Not(), node.test)


def is_left_out(node: ast.AST) -> bool:
    """Return whether nothing below a node is changed: what is raised, logged or text."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name in LOGS
        case ast.BinOp(left=ast.Constant(value=str()) | ast.JoinedStr()):
            return True
    return isinstance(node, ast.Raise | ast.JoinedStr)


def faults_of(path: str) -> Iterator[Fault]:
    """Yield all faults that a file can have; none if numba compiles it."""
    source = Path(path).read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def visit(node: ast.AST, lines: range | None, part: str = "") -> Iterator[Fault]:
        if is_left_out(node) or part in ("annotation", "returns", "decorator_list"):
            return
        if isinstance(node, ast.stmt) and lines is not None:
            last = node.body[0].lineno if hasattr(node, "body") else node.end_lineno + 1
            lines = range(node.lineno, max(last, node.lineno + 1))
        for operator, old, new in changes(node) if lines else ():
            text = ast.unparse(new) if isinstance(new, ast.stmt) else f"({ast.unparse(new)})"
            start = starts[old.lineno - 1] + old.col_offset
            end = starts[old.end_lineno - 1] + old.end_col_offset
            yield Fault(path, old.lineno, operator, start, end, text, lines)
        for field, value in ast.iter_fields(node):
            in_body = isinstance(node, ast.FunctionDef) and field == "body"
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from visit(child, range(1) if in_body else lines, field)

    if b"njit" not in source:
        yield from visit(ast.parse(source), None)


def draw(paths: list[str], seed: int) -> list[Fault]:
    """Return a fault for each line that can have one, in the order of the seed."""
    by_line = defaultdict(list)
    for file in sorted(str(file) for path in paths for file in Path(path).rglob("*.py")):
        for fault in faults_of(file):
            by_line[fault.path, fault.line].append(fault)
    rng = random.Random(seed)
    order = [rng.choice(faults) for faults in by_line.values()]
    rng.shuffle(order)
    return order
