"""What a template prints at the least: its fixed text, along the shortest way through it, with nothing filled in.

What a value adds cannot be told before there is a person; a condition contributes the shortest of its branches, a loop
that of no round and one round, and a branch that ends in `abort` none, for then nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jinja2 import nodes

from activate.template_check import Source

BODY = "body"


class LeastPart(NamedTuple):
    """One block's least text, and where the block stands: file relative to rules/templates, line from 1."""

    text: str
    file: str
    line: int


def least_parts(sources: list[Source]) -> dict[str, LeastPart]:
    """The least text of each block, as it would be sent (without space around it).

    `sources` are those of `template_check.check`. Empty where every way ends in `abort`: then nothing is ever sent.
    """
    return _Reader(sources).parts()


class _Block(NamedTuple):
    node: nodes.Block
    file: str


class _Reader:
    def __init__(self, sources: list[Source]) -> None:
        self._chain = [source for source in sources if source.in_chain]
        self._files = {source.name: source.tree for source in sources}
        self._macros = _macros(sources)
        # Each block's versions, the one that is sent first; `super()` is the next.
        self._blocks: dict[str, list[_Block]] = {}
        for source in self._chain:
            for block in source.tree.find_all(nodes.Block):
                self._blocks.setdefault(block.name, []).append(_Block(block, source.name))
        self._inside: list[str] = []

    def parts(self) -> dict[str, LeastPart]:
        outermost = self._chain[-1]
        if not outermost.blocks:
            text = self._body(outermost.tree.body, ())
            return {} if text is None else {BODY: LeastPart(text.strip(), self._chain[0].name, 1)}
        found = {}
        for name in outermost.blocks:
            versions = self._blocks[name]
            text = self._body(versions[0].node.body, versions[1:])
            if text is None:
                return {}
            found[name] = LeastPart(text.strip(), versions[0].file, versions[0].node.lineno)
        return found

    def _body(self, body: Iterable[nodes.Node], parents: Iterable[_Block]) -> str | None:
        """The least text of statements in a row; None if they never come to an end. `parents`: what super() is."""
        texts = []
        for node in body:
            text = self._statement(node, tuple(parents))
            if text is None:
                return None
            texts.append(text)
        return "".join(texts)

    def _statement(self, node: nodes.Node, parents: tuple[_Block, ...]) -> str | None:
        if isinstance(node, nodes.Output):
            return _joined(self._printed(part, parents) for part in node.nodes)
        if isinstance(node, nodes.If):
            branches = [node.body, *(other.body for other in node.elif_), node.else_]
            return _shortest(self._body(branch, parents) for branch in branches)
        if isinstance(node, nodes.For):
            return _shortest(self._body(branch, parents) for branch in (node.body, node.else_))
        if isinstance(node, nodes.With | nodes.Scope):
            return self._body(node.body, parents)
        if isinstance(node, nodes.FilterBlock):  # what a filter makes of a text is not told
            return None if self._body(node.body, parents) is None else ""
        if isinstance(node, nodes.Block):
            versions = self._blocks.get(node.name) or [_Block(node, "")]
            return self._once(f"block {node.name}", versions[0].node.body, versions[1:])
        if isinstance(node, nodes.Include) and isinstance(node.template, nodes.Const):
            tree = self._files.get(node.template.value)
            if tree is None or next(tree.find_all((nodes.Extends, nodes.Block)), None) is not None:
                return ""
            return self._once(f"file {node.template.value}", tree.body, ())
        return ""

    def _printed(self, node: nodes.Node, parents: tuple[_Block, ...]) -> str | None:
        if isinstance(node, nodes.TemplateData):
            return node.data
        if isinstance(node, nodes.Const):
            return str(node.value)
        if isinstance(node, nodes.CondExpr):
            branches = [node.expr1, node.expr2 or nodes.Const("")]
            return _shortest(self._printed(branch, parents) for branch in branches)
        if not isinstance(node, nodes.Call):
            return ""
        name = node.node.attr if isinstance(node.node, nodes.Getattr) else getattr(node.node, "name", None)
        if isinstance(node.node, nodes.Name) and name == "abort":
            return None
        if isinstance(node.node, nodes.Name) and name == "super" and parents:
            return self._body(parents[0].node.body, parents[1:])
        macro = self._macros.get(str(name))
        return self._once(f"macro {name}", macro.body, ()) if macro is not None else ""

    def _once(self, what: str, body: Iterable[nodes.Node], parents: Iterable[_Block]) -> str | None:
        """A body that stands elsewhere; one that comes back to itself adds nothing more."""
        if what in self._inside:
            return ""
        self._inside.append(what)
        try:
            return self._body(body, parents)
        finally:
            self._inside.pop()


def _macros(sources: list[Source]) -> Mapping[str, nodes.Macro]:
    """The macros by name, save names that several have."""
    found: dict[str, list[nodes.Macro]] = {}
    for source in sources:
        for macro in source.tree.find_all(nodes.Macro):
            found.setdefault(macro.name, []).append(macro)
    return {name: several[0] for name, several in found.items() if len(several) == 1}


def _joined(texts: Iterable[str | None]) -> str | None:
    found = list(texts)
    return None if None in found else "".join(text for text in found if text is not None)


def _shortest(texts: Iterable[str | None]) -> str | None:
    return min((text for text in texts if text is not None), key=len, default=None)
