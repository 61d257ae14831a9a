"""Pages of the documentation that are made from the code: `python -m activate.pages` writes them anew.

docs/cli.md is made whole; in the other pages the parts between `<!-- begin NAME -->` and `<!-- end NAME -->` are.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from activate.cli import DESCRIPTION, EXIT_CODES, PROGRAM, VERBS, build_parser
from activate.decision import REASONS
from activate.load.schema import schemas
from activate.report.phrases import PHRASES
from activate.sources.registry import source_pages


def cli_page() -> str:
    """docs/cli.md: every verb with its arguments, and the exit codes."""
    parser = build_parser()
    verbs = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = [
        f"# The command `{PROGRAM}`\n\n{DESCRIPTION}\n\n"
        "<!-- Made from the command itself by `python -m activate.pages`; do not edit. -->\n\n"
        "The answer goes to stdout, everything else (progress, logs, errors) to stderr. With `--json` stdout is\n"
        "exactly one JSON document, also when the command fails ([json.md](json.md)). `NO_COLOR` is respected.\n",
        "| verb | what it does |\n|---|---|\n"
        + "\n".join(f"| [`{verb.name}`](#{verb.name}) | {verb.summary} |" for verb in VERBS),
        *(_verb(verb.name, verbs.choices[verb.name]) for verb in VERBS),
        f"## Exit codes\n\n{exit_codes()}",
    ]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def exit_codes() -> str:
    """The table of exit codes."""
    rows = (f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())
    return "\n".join(["| code | meaning |", "|---:|---|", *rows])


def _verb(name: str, parser: argparse.ArgumentParser) -> str:
    actions = [action for action in parser._actions if action.dest != "help"]
    places = [action for action in actions if not action.option_strings]
    words = [f"[{action.metavar}]" if action.nargs == "?" else str(action.metavar) for action in places]
    rows = [f"| `{_spelling(action)}` | {_cell((action.help or '').replace('%%', '%'))} |" for action in actions]
    usage = " ".join([PROGRAM, name, *words, "[options]"])
    head = [f"## {name}", str(parser.description), f"    {usage}"]
    return "\n\n".join([*head, "\n".join(["| argument | meaning |", "|---|---|", *rows])])


def _spelling(action: argparse.Action) -> str:
    parts = [", ".join(action.option_strings), str(action.metavar or "")]
    return " ".join(part for part in parts if part)


def campaign_keys() -> str:
    """Every key of a campaign file: its meaning, what may be written, its default."""
    return _keys("campaign")


def policy_keys() -> str:
    """Every key of rules/activate.yml."""
    return _keys("activate")


def _keys(name: str) -> str:
    schema = schemas()[name]
    rows = [
        (f"`{path}`", part.get("description", ""), _allowed(part), _default(part, required))
        for path, part, required in _walk("", schema, schema["$defs"])
    ]
    told = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join(["| key | meaning | what to write | default |", "|---|---|---|---|", *told])


def _walk(prefix: str, part: dict[str, Any], definitions: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    for key, member in part.get("properties", {}).items():
        path = f"{prefix}{key}"
        yield path, member, key in part.get("required", ())
        inner, many = _inner(member, definitions)
        if inner is not None:
            yield from _walk(f"{path}{many}.", inner, definitions)


def _inner(member: dict[str, Any], definitions: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The mapping that a key holds, if it holds one (or a list or a mapping of them)."""
    for choice in (member, *member.get("anyOf", ())):
        if "$ref" in choice:
            return definitions[choice["$ref"].rsplit("/", 1)[-1]], ""
        for key, many in (("items", "[]"), ("additionalProperties", ".NAME")):
            nested = choice.get(key)
            if key == "additionalProperties" and not isinstance(nested, dict):
                nested = next(iter(choice.get("patternProperties", {}).values()), None)
            if isinstance(nested, dict) and "$ref" in nested:
                return definitions[nested["$ref"].rsplit("/", 1)[-1]], many
    return None, ""


def _allowed(part: dict[str, Any]) -> str:  # one answer for each kind of schema
    if "enum" in part:
        return ", ".join(f"`{word}`" for word in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    if "examples" in part:
        return " or ".join(f"`{word}`" for word in part["examples"])
    if "anyOf" in part:
        return " or ".join(dict.fromkeys(_allowed(choice) for choice in part["anyOf"]))
    if part.get("type") == "array":
        items = part.get("items", {})
        if "$ref" in items:
            return "a list of mappings"
        return f"a list of {_allowed(items)}" if "enum" in items else "a list of texts"
    if part.get("type") == "integer":
        low, high = part.get("minimum"), part.get("maximum")
        return f"a number, at least {low}" if high is None else f"a number from {low} to {high}"
    if "$ref" in part or part.get("type") == "object":
        return "a mapping"
    return {"string": "a text", "boolean": "`true`, `false`"}.get(str(part.get("type")), "")


def _default(part: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    default = part.get("default")
    if default in (None, [], "", {}):
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        return ", ".join(f"`{word}`" for word in default)
    return f"`{default}`"


def reasons() -> str:
    """Every reason of the vocabulary in people's words, with what would change it."""
    rows = (f"| `{name}` | {_cell(PHRASES[name].meaning)} | {_cell(PHRASES[name].change or '-')} |" for name in REASONS)
    return "\n".join(["| reason | what happened | what would change it |", "|---|---|---|", *rows])


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


PARTS: dict[str, Callable[[], str]] = {
    "campaign keys": campaign_keys,
    "policy keys": policy_keys,
    "reasons": reasons,
    "exit codes": exit_codes,
    "sources": lambda: source_pages().rstrip("\n"),
}


def fill_in(text: str) -> str:
    """The page with its generated parts made anew."""

    def fresh(found: re.Match[str]) -> str:
        return f"<!-- begin {found[1]} -->\n{PARTS[found[1]]()}\n<!-- end {found[1]} -->"

    return re.sub(r"<!-- begin ([a-z ]+) -->\n.*?<!-- end \1 -->", fresh, text, flags=re.DOTALL)


def write(docs: Path) -> list[Path]:
    """Write docs/cli.md and fill in the other pages; returns the files that changed."""
    made = {page: fill_in(page.read_text("utf-8")) for page in sorted(docs.glob("*.md"))}
    made[docs / "cli.md"] = cli_page()
    changed = [page for page, text in made.items() if not page.is_file() or page.read_text("utf-8") != text]
    for page in changed:
        page.write_text(made[page], "utf-8")
    return changed


if __name__ == "__main__":
    for page in write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs")):
        print(page)
