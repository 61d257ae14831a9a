"""A query as the text of a dbt model: keywords in lower case, comments above what they are about, Jinja where the stand-ins are.

What people wrote stays inside literals, and a brace that Jinja would take for its own is written by Jinja as text.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

WIDTH = 90
_KEPT = (TokenType.STRING, TokenType.IDENTIFIER)
_JINJA_BEGINS = re.compile(r"\{(?=[{%#])")


def print_model(query: exp.Expr, dialect: str, jinja: Mapping[str, str]) -> str:
    """The text of a query in which the names in `jinja` stand for `{{ ... }}`. A column's comment goes above it."""
    text = query.sql(dialect=dialect, pretty=True, indent=4, pad=4, normalize_functions="lower", max_text_width=WIDTH)
    page = _Page()
    end = 0
    for token in sqlglot.tokenize(text, read=dialect):
        page.gap(text[end : token.start])
        page.token(token.token_type, _token(token, text[token.start : token.end + 1], jinja))
        end = token.end + 1
    page.gap(text[end:] + "\n")
    # No value holds a line break, so these are ends of CTEs.
    whole = "".join(page.parts).replace("\n), ", "\n),\n\n").replace("\n)\nselect", "\n)\n\nselect")
    return "\n".join(line.rstrip() for line in whole.split("\n"))


class _Page:
    """Gaps and tokens in turn; knows for every depth of parentheses where the latest two columns begin."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._depth = 0
        self._starts: dict[int, list[int]] = {}

    def gap(self, text: str) -> None:
        found = re.search(r"/\* (.*?) \*/", text)
        self.parts.append(text if found is None else text[: found.start()].rstrip(" ") + text[found.end() :])
        if found is not None:
            self._comment(found[1])

    def token(self, kind: TokenType, written: str) -> None:
        self.parts.append(written)
        self._depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
        if kind in (TokenType.SELECT, TokenType.COMMA):
            before = self._starts.get(self._depth, [])
            self._starts[self._depth] = [*before[-1:], len(self.parts) + 1]

    def _comment(self, words: str) -> None:
        # sqlglot puts the comment behind the comma, where the next column is about to begin.
        starts = self._starts[self._depth]
        place = starts[0] if starts[-1] >= len(self.parts) else starts[-1]
        indent = self.parts[place - 1].rsplit("\n", 1)[-1]
        self.parts.insert(place, comment([words]).replace("\n", f"\n{indent}"))
        self._starts[self._depth] = [start + 1 if start >= place else start for start in starts]


def neutral(text: str) -> str:
    """A text that dbt's Jinja renders to exactly what it was."""
    return _JINJA_BEGINS.sub('{{ "{" }}', text)


def comment(lines: Iterable[str]) -> str:
    """Lines as SQL comments. dbt renders Jinja in comments as well, so none may begin in them."""
    found = []
    for line in lines:
        plain = _JINJA_BEGINS.sub("{ ", " ".join(line.splitlines()))
        indent = " " * (len(plain) - len(plain.lstrip()))
        hanging = indent + "   " * bool(re.match(r"\s*\d", plain))
        wrapped = textwrap.wrap(plain, WIDTH, subsequent_indent=hanging, break_long_words=False)
        found += [f"-- {part}" for part in wrapped or [""]]
    return "".join(f"{line.rstrip()}\n" for line in found)


def _token(token: Token, written: str, jinja: Mapping[str, str]) -> str:
    if written in jinja:
        return f"{{{{ {jinja[written]} }}}}"
    # Bare names are in lower case already (names.py): the others are in quotes.
    return neutral(written) if token.token_type in _KEPT else written.lower()
