"""Templates without loops and macros as one plain Python function, several times faster than Jinja's generators.

Only what such a function does exactly as Jinja would is translated; anything else, and any failure while it runs, is
left to Jinja, which says what is wrong. So a function made here is only ever a faster way to the same text.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import nodes
from markupsafe import escape

from activate.sandbox import ASK_FOR_NAMES, MAX_OUTPUT, ROWS, Sandbox, is_field, shown

_COMPARED: Mapping[str, ast.cmpop] = {
    "eq": ast.Eq(), "ne": ast.NotEq(), "gt": ast.Gt(), "gteq": ast.GtE(), "lt": ast.Lt(), "lteq": ast.LtE(),
}  # fmt: skip
_NAMES = "names"
_DEEPEST = 20


class Straight(NamedTuple):
    """`render` takes the profile, the context and the other names, returns the text of each block, and raises anything.

    `needs_names` is false for a template that uses nothing but profile and context.
    """

    render: Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], dict[str, str]]
    needs_names: bool


class _NotStraight(Exception):
    """The template does more than this can translate."""


def straight(
    chain: Sequence[nodes.Template], blocks: Mapping[str, bool], whole: str, environment: Sandbox
) -> Straight | None:
    """Translate a template and its parents (nearest first), or return None where it is not that simple.

    `blocks` says of each block whether it escapes what it prints; a template without blocks is one block, `whole`.
    """
    bodies = {block.name: block.body for tree in reversed(chain) for block in tree.find_all(nodes.Block)}
    translator = _Translator(environment, bodies or {whole: chain[0].body})
    try:
        texts = [_call("finished", translator.block(name, escapes)) for name, escapes in blocks.items()]
        returned = ast.Dict([ast.Constant(name) for name in blocks], texts)
        arguments = ast.arguments([], [ast.arg(name) for name in (*ROWS, _NAMES)], None, [], [], None, [])
        function = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, returned)))
        # The tree was made here, out of the few nodes below; no text of a template is evaluated.
        render = eval(compile(function, "<template>", "eval"), translator.known)  # noqa: S307
    except (_NotStraight, KeyError, RecursionError):  # a chain of a thousand `elif` is one expression in another
        return None
    return Straight(render, translator.needs_names)


class _Translator:
    """Turns Jinja's nodes into Python's. `known` are the globals of the function."""

    def __init__(self, environment: Sandbox, bodies: Mapping[str, list[nodes.Node]]) -> None:
        self._environment = environment
        self._bodies = bodies
        self._depth = 0
        self.needs_names = False
        self.known: dict[str, Any] = {"__builtins__": {}, "finished": _finished, "shown": shown, "escape": escape}

    def block(self, name: str, escapes: bool) -> ast.expr:
        """The text of a block, as the child that is nearest has it."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _NotStraight
        text = self._text(self._bodies[name], escapes)
        self._depth -= 1
        return text

    def _text(self, body: list[nodes.Node], escapes: bool) -> ast.expr:
        parts: list[ast.expr] = []
        for node in body:
            if isinstance(node, nodes.Output):
                parts += [self._printed(each, escapes) for each in node.nodes]
            elif isinstance(node, nodes.If):
                parts.append(_formatted(self._choice(node, escapes)))
            elif isinstance(node, nodes.Block):
                parts.append(_formatted(self.block(node.name, escapes)))
            else:
                raise _NotStraight
        return ast.JoinedStr(parts)

    def _choice(self, node: nodes.If, escapes: bool) -> ast.expr:
        otherwise = self._text(node.else_, escapes)
        for branch in reversed(node.elif_):
            otherwise = ast.IfExp(self._value(branch.test), self._text(branch.body, escapes), otherwise)
        return ast.IfExp(self._value(node.test), self._text(node.body, escapes), otherwise)

    def _printed(self, node: nodes.Node, escapes: bool) -> ast.expr:
        if isinstance(node, nodes.TemplateData):
            return ast.Constant(node.data)
        value = self._value(node)
        if not is_field(node):  # a row's field is never None
            value = _call("shown", value)
        return _formatted(_call("escape", value) if escapes else value)

    def _value(self, node: nodes.Node) -> ast.expr:
        if is_field(node):
            assert isinstance(node, nodes.Getattr)
            assert isinstance(node.node, nodes.Name)
            return ast.Subscript(_name(node.node.name), ast.Constant(node.attr), ast.Load())
        if isinstance(node, nodes.Name) and node.name not in ROWS and node.name not in self._environment.globals:
            return ast.Subscript(self._names(), ast.Constant(node.name), ast.Load())
        if isinstance(node, nodes.Const) and type(node.value) in (str, int, float, bool):
            return ast.Constant(node.value)
        if isinstance(node, nodes.Filter | nodes.Test) and node.node is not None:
            return self._filtered(node)
        if isinstance(node, nodes.Compare) and len(node.ops) == 1 and node.ops[0].op in _COMPARED:
            operator = _COMPARED[node.ops[0].op]
            return ast.Compare(self._value(node.expr), [operator], [self._value(node.ops[0].expr)])
        if isinstance(node, nodes.And | nodes.Or):
            operation = ast.And() if isinstance(node, nodes.And) else ast.Or()
            return ast.BoolOp(operation, [self._value(node.left), self._value(node.right)])
        if isinstance(node, nodes.Not):
            return ast.UnaryOp(ast.Not(), self._value(node.node))
        raise _NotStraight

    def _filtered(self, node: nodes.Filter | nodes.Test) -> ast.expr:
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            raise _NotStraight
        is_filter = isinstance(node, nodes.Filter)
        function: Any = (self._environment.filters if is_filter else self._environment.tests)[node.name]
        assert node.node is not None
        arguments = [self._value(each) for each in (node.node, *node.args)]
        if is_filter and node.name in ASK_FOR_NAMES:
            arguments.insert(0, self._names())
        elif hasattr(function, "jinja_pass_arg"):
            raise _NotStraight
        name = f"{'filter' if is_filter else 'test'}_{node.name}"
        self.known[name] = function
        keywords = [ast.keyword(str(each.key), self._value(each.value)) for each in node.kwargs]
        return ast.Call(_name(name), arguments, keywords)

    def _names(self) -> ast.expr:
        self.needs_names = True
        return _name(_NAMES)


def _finished(text: str) -> str:
    if len(text) > MAX_OUTPUT:
        raise ValueError
    return text.strip()


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _call(function: str, argument: ast.expr) -> ast.expr:
    return ast.Call(_name(function), [argument], [])


def _formatted(value: ast.expr) -> ast.expr:
    return ast.FormattedValue(value, ord("s"), None)
