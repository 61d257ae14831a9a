"""What can be known about a template before it is rendered: its blocks, the fields it uses, and its mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

from jinja2 import DictLoader, TemplateAssertionError, TemplateNotFound, TemplateSyntaxError, meta, nodes

from activate.errors import ActivateError, nearest
from activate.sandbox import ROWS, Sandbox

# Reads and compiles as every sandbox does; it has no folder.
_READER = Sandbox(DictLoader({}), autoescape=False)
_BY_ATTRIBUTE = ("attr", "map", "selectattr", "rejectattr", "groupby", "sort", "unique", "sum", "min", "max")


class TemplateMistake(ActivateError):
    """A template cannot be used. `file` is relative to rules/templates, `line` counts from 1. Exit code 2."""

    exit_code = 2

    def __init__(self, line: int, message: str, file: str = "") -> None:
        self.line = line
        self.message = message
        self.file = file
        super().__init__(f"rules/templates/{file}:{line}: {message}")


@dataclass(frozen=True)
class TemplateInfo:
    """What a template uses, with everything it includes.

    `fields` are (namespace, field) pairs with namespace `profile` or `context`; `whole` are the namespaces also used as
    a whole, e.g. `{% for column in profile %}`; `names` are the names it expects from outside; `blocks` are in order.
    """

    name: str
    fields: frozenset[tuple[str, str]]
    names: frozenset[str]
    blocks: tuple[str, ...]
    whole: frozenset[str] = frozenset()


@dataclass
class Source:
    """One file of a template: itself, a parent that it extends (`in_chain`), or one that it includes or imports.

    Files of one text share what is in here, so nothing of it is changed once it is read.
    """

    name: str
    tree: nodes.Template
    in_chain: bool = False
    parent: str | None = None
    prelude: bool = False
    blocks: list[str] = field(default_factory=list)
    exported: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    abort_reasons: set[str] = field(default_factory=set)
    undeclared: set[str] = field(default_factory=set)
    fields: set[tuple[str, str]] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)


def check(environment: Sandbox, name: str, known: frozenset[str]) -> tuple[TemplateInfo, list[Source]]:
    """Read a template and all that it refers to; raises TemplateMistake.

    The sources come in order: the template, its parents from the nearest to the outermost, then the rest.
    """
    info, sources, mistakes = examine(environment, name, known)
    if mistakes:
        raise mistakes[0]
    return info, sources


def examine(
    environment: Sandbox, name: str, known: frozenset[str]
) -> tuple[TemplateInfo, list[Source], list[TemplateMistake]]:
    """As `check`, with all mistakes at once; raises TemplateMistake only for what keeps a file from being read."""
    mistakes: list[TemplateMistake] = []
    sources = _chain(environment, name, mistakes)
    outermost = sources[-1]
    mistakes += _block_mistakes(sources)
    seen = {source.name for source in sources}
    for source in sources:  # grows as files are found
        for reference, line in _references(source):
            if reference not in seen:
                seen.add(reference)
                sources.append(_read(environment, reference, False, source.name, line, mistakes))
    exported = set().union(*(source.exported for source in sources))
    names: set[str] = set()
    fields: set[tuple[str, str]] = set()
    whole: set[str] = set()
    for source in sources:
        undeclared = source.undeclared - exported - environment.globals.keys()
        mistakes += _name_mistakes(source, undeclared, known)
        names |= undeclared
        fields |= source.fields
        whole |= source.whole
    info = TemplateInfo(name, frozenset(fields), frozenset(names), tuple(outermost.blocks), frozenset(whole))
    return info, sources, mistakes


def _chain(environment: Sandbox, name: str, mistakes: list[TemplateMistake]) -> list[Source]:
    sources = [_read(environment, name, True, name, 1, mistakes)]
    while (parent := sources[-1].parent) is not None:
        if any(source.name == parent for source in sources):
            raise TemplateMistake(1, f"{parent!r} extends itself in the end", name)
        sources.append(_read(environment, parent, True, sources[-1].name, 1, mistakes))
    return sources


def _read(
    environment: Sandbox, name: str, in_chain: bool, asked_by: str, line: int, mistakes: list[TemplateMistake]
) -> Source:
    """One file, parsed and compiled. What is wrong in it is added to `mistakes`, unless it cannot be read at all."""
    try:
        text, _, _ = environment.loader.get_source(environment, name)  # type: ignore[union-attr]  # always a loader
    except TemplateNotFound:
        hint = nearest(name, environment.list_templates())
        raise TemplateMistake(line, f"there is no template {name!r} in rules/templates{hint}", asked_by) from None
    except UnicodeDecodeError:
        raise TemplateMistake(1, "the file is not UTF-8 text", name) from None
    source, found = _understood(text, name)
    mistakes += found
    return replace(source, in_chain=in_chain)


@lru_cache(maxsize=512)  # a layout is read for each template that extends it, and a project is checked twice
def _understood(text: str, name: str) -> tuple[Source, tuple[TemplateMistake, ...]]:
    try:
        source = Source(name, _READER.parse(text, name))
        found = tuple(_tree_mistakes(source))
        if not found:  # a filter that does not exist would be told a second time
            _READER.compile(text, name)
    except TemplateSyntaxError as error:
        raise TemplateMistake(error.lineno, error.message or "syntax error", name) from None
    except RecursionError:
        raise TemplateMistake(1, "the template is nested too deeply", name) from None
    _outline(source)
    source.undeclared = _undeclared(source.tree)
    source.fields, source.whole = _fields(source.tree)
    return source, found


def _outline(source: Source) -> None:
    """Fill in what stands at the top of the file, and which words it uses."""
    for node in source.tree.body:
        if isinstance(node, nodes.Block):
            source.blocks.append(node.name)
        elif isinstance(node, nodes.Extends):
            source.parent = _constant(node, source.name)
        elif isinstance(node, nodes.Output):
            source.prelude |= any(not isinstance(part, nodes.TemplateData) for part in node.nodes)
        else:
            source.prelude = True
            if next(node.find_all(nodes.Block), None):
                raise TemplateMistake(node.lineno, "a block cannot stand inside a condition or a loop", source.name)
        source.exported |= _exported(node)
    for found in source.tree.find_all(nodes.Node):
        if isinstance(found, nodes.Name):
            source.words.add(found.name)
        elif isinstance(found, nodes.Getattr):
            source.words.add(found.attr)
        elif isinstance(found, nodes.Getitem) and isinstance(found.arg, nodes.Const):
            source.words |= {found.arg.value} if isinstance(found.arg.value, str) else set()
        elif isinstance(found, nodes.Call) and isinstance(found.node, nodes.Name) and found.node.name == "abort":
            constants = [argument.value for argument in found.args if isinstance(argument, nodes.Const)]
            source.abort_reasons |= {value for value in constants if isinstance(value, str)}


def _exported(node: nodes.Node) -> set[str]:
    if isinstance(node, nodes.Assign | nodes.AssignBlock):
        targets: Iterator[nodes.Name] = node.find_all(nodes.Name)
        return {name.name for name in targets if name.ctx == "store"}
    if isinstance(node, nodes.Macro):
        return {node.name}
    if isinstance(node, nodes.Import):
        return {node.target}
    if isinstance(node, nodes.FromImport):
        return {name if isinstance(name, str) else name[1] for name in node.names}
    return set()


def _constant(node: nodes.Extends | nodes.Include | nodes.Import | nodes.FromImport, file: str) -> str:
    if isinstance(node.template, nodes.Const) and isinstance(node.template.value, str):
        return node.template.value
    raise TemplateMistake(node.lineno, "name the other template in quotes, so that it can be checked", file)


def _references(source: Source) -> Iterator[tuple[str, int]]:
    for node in source.tree.find_all((nodes.Include, nodes.Import, nodes.FromImport)):
        assert isinstance(node, nodes.Include | nodes.Import | nodes.FromImport)
        yield _constant(node, source.name), node.lineno


def _block_mistakes(chain: list[Source]) -> Iterator[TemplateMistake]:
    """Text outside the blocks, or a block that no parent has, would silently not be sent."""
    allowed: set[str] = set()
    for source in reversed(chain):
        all_blocks = {block.name: block.lineno for block in source.tree.find_all(nodes.Block)}
        if source.parent is not None:
            for name in source.blocks:
                if name not in allowed:
                    message = f"no parent has a block {name!r}, so it would not be sent{nearest(name, allowed)}"
                    yield TemplateMistake(all_blocks[name], message, source.name)
        allowed |= set(all_blocks)
        if source.parent is not None or source.blocks:
            yield from _stray_text(source)


def _stray_text(source: Source) -> Iterator[TemplateMistake]:
    for node in source.tree.body:
        if not isinstance(node, nodes.Output):
            continue
        for part in node.nodes:
            blank = isinstance(part, nodes.TemplateData) and not part.data.strip()
            call = isinstance(part, nodes.Call) and isinstance(part.node, nodes.Name) and part.node.name == "abort"
            if not (blank or call):
                yield TemplateMistake(part.lineno, "text outside the blocks would not be sent", source.name)


def _tree_mistakes(source: Source) -> Iterator[TemplateMistake]:
    for node in source.tree.find_all(nodes.Node):
        if isinstance(node, nodes.Getattr):
            yield from _private(node.attr, node.lineno, source.name)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            yield from _private(node.arg.value, node.lineno, source.name)
        elif isinstance(node, nodes.Name):
            yield from _private(node.name, node.lineno, source.name)
        elif isinstance(node, nodes.Filter | nodes.Test):
            yield from _call_mistakes(node, source.name)


def _call_mistakes(node: nodes.Filter | nodes.Test, file: str) -> Iterator[TemplateMistake]:
    kind, allowed = ("filter", _READER.filters) if isinstance(node, nodes.Filter) else ("test", _READER.tests)
    if node.name not in allowed:
        yield TemplateMistake(node.lineno, f"there is no {kind} {node.name!r}{nearest(node.name, allowed)}", file)
    if node.name in _BY_ATTRIBUTE:
        for constant in node.find_all(nodes.Const):
            for part in str(constant.value).split("."):
                yield from _private(part, node.lineno, file)


def _private(name: object, line: int, file: str) -> Iterator[TemplateMistake]:
    if isinstance(name, str) and name.startswith("_"):
        yield TemplateMistake(line, f"{name!r}: names that begin with an underscore are private", file)


def _name_mistakes(source: Source, undeclared: set[str], known: frozenset[str]) -> Iterator[TemplateMistake]:
    for stored in source.tree.find_all(nodes.Name):
        if stored.ctx != "load" and stored.name in known:
            yield TemplateMistake(stored.lineno, f"{stored.name!r} is Activate's own name; choose another", source.name)
    for name in sorted(undeclared - known):
        if name.startswith("_"):
            continue  # told as private already
        line = next((node.lineno for node in source.tree.find_all(nodes.Name) if node.name == name), 1)
        allowed = ", ".join(sorted(known))
        yield TemplateMistake(line, f"{name!r} is not known; allowed: {allowed}{nearest(name, known)}", source.name)


def _undeclared(tree: nodes.Template) -> set[str]:
    """The names that a file expects from outside; none where a filter or a test in it does not exist."""
    try:
        return meta.find_undeclared_variables(tree)
    except TemplateAssertionError:
        return set()


def _fields(tree: nodes.Template) -> tuple[set[tuple[str, str]], set[str]]:
    """The (namespace, field) pairs, and the namespaces that are used otherwise than by field."""
    fields: set[tuple[str, str]] = set()
    by_field: set[int] = set()
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        assert isinstance(node, nodes.Getattr | nodes.Getitem)
        if not (isinstance(node.node, nodes.Name) and node.node.name in ROWS):
            continue
        if isinstance(node, nodes.Getattr):
            fields.add((node.node.name, node.attr))
        elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            fields.add((node.node.name, node.arg.value))
        else:
            continue
        by_field.add(id(node.node))
    names = tree.find_all(nodes.Name)
    return fields, {name.name for name in names if name.name in ROWS and id(name) not in by_field}
