"""Message templates: Jinja in a sandbox, strict about names, checked before anybody is messaged.

A template is a file `rules/templates/{template}[.{variant}].{channel}.j2`. Its blocks (`subject`, `text`, `html`, ...)
are rendered one by one into a message's content; a template without blocks is one block called `body`. The block
`html` escapes what it prints, the others do not. What a template knows is listed in `NAMES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from jinja2 import FileSystemLoader, UndefinedError, nodes
from jinja2 import Template as JinjaTemplate
from jinja2.runtime import Context

from activate.errors import ActivateError
from activate.sandbox import MAX_OUTPUT, ContextRow, ProfileRow, Sandbox, TemplateLimit, UnknownName
from activate.straight import straight
from activate.template_check import Source, TemplateInfo, TemplateMistake, check, examine
from activate.template_least import BODY, LeastPart, least_parts

__all__ = [
    "BODY",
    "NAMES",
    "ContextRow",
    "LeastPart",
    "ProfileRow",
    "Template",
    "TemplateAbort",
    "TemplateFailed",
    "TemplateInfo",
    "TemplateMistake",
    "TemplateReading",
    "Templates",
    "inspect_template",
    "read_template",
    "template_names",
]

NAMES: Mapping[str, str] = {
    "profile": "The person's row in the profiles model, e.g. `profile.first_name`.",
    "context": "The row that brought the person in, e.g. `context.cart_value`.",
    "user_id": "The person's key.",
    "campaign": "The campaign's name.",
    "step": "The step, counted from 1.",
    "variant": "The variant's name, or null.",
    "message_id": "The message's id.",
    "now": "The instant of the delivery, UTC.",
    "time_zone": "The person's IANA time zone (else the policy's `unknown_zone`, else UTC).",
    "unsubscribe_url": "The person's own link to unsubscribe; only where the provider is set up for it.",
}
_REASON_LENGTH = 200
_HANDFUL = 64


class TemplateAbort(Exception):
    """The template called `abort(...)`. `reason` is None unless the template spells it out: it could be data."""

    def __init__(self, reason: str | None) -> None:
        self.reason = reason
        super().__init__(reason or "the template called abort")


class TemplateFailed(ActivateError):
    """A template could not be rendered for one person. The message names line and field, never a value."""


class _Abort(Exception):
    def __init__(self, reason: object) -> None:
        self.reason = reason
        super().__init__("abort")


def _abort(reason: object = None) -> str:
    raise _Abort(reason)


def template_names(template: str, channel: str, variant: str | None = None) -> tuple[str, ...]:
    """File names under rules/templates that can serve, the most specific first."""
    general = f"{template}.{channel}.j2"
    return (f"{template}.{variant}.{channel}.j2", general) if variant else (general,)


class TemplateReading(NamedTuple):
    """What a template uses, what each block prints at the least (whoever it is for), and what is wrong with it."""

    info: TemplateInfo
    least: dict[str, LeastPart]
    mistakes: tuple[TemplateMistake, ...]


def inspect_template(path: Path, root: Path | None = None) -> TemplateInfo:
    """Check a template file and tell what it uses.

    `root` is the folder that includes come from (default: the file's own). Raises TemplateMistake.
    """
    reading = read_template(path, root)
    if reading.mistakes:
        raise reading.mistakes[0]
    return reading.info


def read_template(path: Path, root: Path | None = None) -> TemplateReading:
    """As `inspect_template`, with all mistakes at once; raises TemplateMistake where a file cannot be read at all."""
    folder = root or path.parent
    environment = _environment(folder, escape=False)
    info, sources, mistakes = examine(environment, path.relative_to(folder).as_posix(), frozenset(NAMES))
    return TemplateReading(info, {} if mistakes else least_parts(sources), tuple(mistakes))


def _environment(folder: Path, escape: bool) -> Sandbox:
    environment = Sandbox(loader=FileSystemLoader(folder), autoescape=escape)
    environment.globals["abort"] = _abort
    return environment


class Templates:
    """The templates of one folder, each compiled once. Not thread-safe: a thread that renders has its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._plain = _environment(folder, escape=False)
        self._escaped = _environment(folder, escape=True)
        self._compiled: dict[str, Template] = {}
        self._found: dict[tuple[str, str, str | None], Template] = {}

    def get(self, template: str, channel: str, variant: str | None = None) -> Template:
        """Return the compiled template for a step's channel and variant; raises TemplateMistake."""
        key = (template, channel, variant)
        found = self._found.get(key)
        if found is None:
            names = template_names(template, channel, variant)
            name = next((name for name in names if (self._folder / name).is_file()), names[-1])
            found = self._found[key] = self._compiled.get(name) or self._compile(name)
        return found

    def _compile(self, name: str) -> Template:
        info, sources = check(self._plain, name, frozenset(NAMES))
        compiled = Template(info, sources, self._plain, self._escaped)
        self._compiled[name] = compiled
        return compiled


@dataclass(frozen=True)
class _Part:
    """One environment's half of a template: its chain of parents, and one context that all messages share."""

    chain: tuple[JinjaTemplate, ...]
    context: Context
    blocks: dict[str, list[Any]]

    @classmethod
    def of(cls, environment: Sandbox, names: list[str]) -> _Part:
        chain = tuple(environment.get_template(name) for name in names)
        blocks: dict[str, list[Any]] = {}
        for template in chain:
            for name, function in template.blocks.items():
                blocks.setdefault(name, []).append(function)
        context = chain[0].new_context()
        context.blocks = blocks
        return cls(chain, context, blocks)

    def run_prelude(self) -> None:
        context = self.context
        # Blocks see what stands at the top of the file (`set`, `macro`, `import`) once the root has run; with silent
        # blocks it runs nothing else.
        context.vars.clear()
        context.exported_vars.clear()
        context.blocks = {name: [_silent] for name in self.blocks}
        for _ in self.chain[0].root_render_func(context):
            pass
        context.blocks = self.blocks

    def functions(self, block: str | None) -> Any:
        return self.chain[0].root_render_func if block is None else self.blocks[block][0]


def _silent(_: Context) -> Iterator[str]:
    return iter(())


class Template:
    """A compiled template. `render` may be called any number of times, by one thread.

    One that does not need names (`needs_names`) uses nothing of `NAMES` but the profile and the context.
    """

    def __init__(self, info: TemplateInfo, sources: list[Source], plain: Sandbox, escaped: Sandbox) -> None:
        self.info = info
        self._prelude = any(source.prelude for source in sources)
        self._constants = frozenset(text for source in sources for text in source.abort_reasons)
        self._words = frozenset(word for source in sources for word in source.words)
        chain = [source.name for source in sources if source.in_chain]
        halves = {False: _Part.of(plain, chain)}
        if "html" in info.blocks:
            halves[True] = _Part.of(escaped, chain)
        self._straight = None
        trees = [_parsed(plain, name) for name in chain]
        if not self._prelude or (len(trees) == 1 and not info.blocks):
            escaping = {block: block == "html" for block in info.blocks or (BODY,)}
            self._straight = straight(trees, escaping, BODY, plain)
        self.needs_names = self._straight is None or self._straight.needs_names
        self._halves = tuple(halves.values())
        self._blocks: tuple[tuple[str, Any, Context], ...] = tuple(
            (block, halves[block == "html"].functions(block), halves[block == "html"].context) for block in info.blocks
        ) or ((BODY, halves[False].functions(None), halves[False].context),)

    def render(self, names: Mapping[str, Any]) -> dict[str, str]:
        """Render every block for one message. `names` are those of `NAMES`, the rows as ProfileRow and ContextRow.

        Raises TemplateAbort and TemplateFailed.
        """
        if self._straight is not None:
            try:
                return self._straight.render(names["profile"], names["context"], names)
            except Exception:  # noqa: S110  # Jinja meets the same trouble below, and can say what it is
                pass
        try:
            for half in self._halves:
                half.context.parent.update(names)
                if self._prelude:
                    half.run_prelude()
            return {block: _join(function(context)) for block, function, context in self._blocks}
        except _Abort as abort:
            known = isinstance(abort.reason, str) and abort.reason in self._constants
            raise TemplateAbort(str(abort.reason)[:_REASON_LENGTH] if known else None) from None
        except Exception as error:  # whatever a template manages to do concerns one person only
            raise TemplateFailed(self._explain(error)) from None

    def _explain(self, error: Exception) -> str:
        where = f"rules/templates/{_place(error.__traceback__) or self.info.name}"
        if isinstance(error, UnknownName):
            return f"{where}: {error.describe(self._words)}"
        if isinstance(error, UndefinedError):
            return f"{where}: a name is not known"
        if isinstance(error, TemplateLimit):
            return f"{where}: {error}"
        # The text of any other error may quote a value.
        return f"{where}: {type(error).__name__}"


def _parsed(environment: Sandbox, name: str) -> nodes.Template:
    """A template's tree, fresh: looking for its names has folded constants in the one that was checked."""
    assert environment.loader is not None
    return environment.parse(environment.loader.get_source(environment, name)[0], name)


def _join(pieces: Iterator[str]) -> str:
    # By handfuls, so that a text without end is noticed; nearly always one is enough.
    text = "".join(islice(pieces, _HANDFUL))
    while len(text) <= MAX_OUTPUT and (piece := next(pieces, None)) is not None:
        text += piece + "".join(islice(pieces, _HANDFUL))
    if len(text) > MAX_OUTPUT:
        raise TemplateLimit(f"a block grows beyond {MAX_OUTPUT:,} characters")
    return text.strip()


def _place(traceback: TracebackType | None) -> str | None:
    """`file:line` of the innermost template in a traceback."""
    place = None
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            place = f"{template.name}:{template.get_corresponding_lineno(traceback.tb_lineno)}"
        traceback = traceback.tb_next
    return place
