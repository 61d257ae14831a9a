"""A template translated into a plain function says exactly what Jinja says, or leaves the template to Jinja."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from activate.template import (
    ContextRow,
    ProfileRow,
    Template,
    TemplateAbort,
    TemplateFailed,
    TemplateMistake,
    Templates,
)

RULES = Path(__file__).parents[2] / "rules" / "templates"
FIELDS = ("name", "items", "price", "count", "seen_at", "born", "flag", "nothing", "not_there")
EXPRESSIONS = [
    *(f"{row}.{field}" for row in ("profile", "context") for field in FIELDS), "user_id", "step", "variant", "now",
    "campaign", "'text'", "3", "2.5", "true", "message_id", "time_zone",
]  # fmt: skip
FILTERS = [
    "upper", "title", "capitalize", "trim", "lower", "money", "money('EUR ', 0)", "money(places=3)", "date",
    "date('%-d %b %H:%M')", "date('%H:%M', 'Asia/Tokyo')", "default('there')", "default('none', true)", "length",
    "round(1)", "int", "float", "string", "escape", "safe", "truncate(5)", "replace('a', '<b>')", "join(', ')", "first",
    "abs", "striptags", "tojson", "list", "sum", "wordcount", "format('x')", "urlencode", "filesizeformat",
]  # fmt: skip
TESTS = ["defined", "undefined", "none", "string", "number", "not none", "divisibleby(2)", "mapping", "in 'text'"]
OPERATORS = ["==", "!=", "<", ">", "<=", ">=", "in", "and", "or", "~", "+", "*"]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-1_000, 1_000_000), st.floats(allow_nan=True), st.text(max_size=12),
    st.sampled_from(["Ann & <Bob>", "", "2026-03-01", "a{b}%s\\"]), st.decimals(-1_000, 1_000, places=2),
    st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2030, 1, 1)), st.dates(), st.lists(st.integers(), max_size=3),
    st.just(Decimal("NaN")),
)  # fmt: skip


@st.composite
def expressions(draw: st.DrawFn) -> str:
    text: str = draw(st.sampled_from(EXPRESSIONS))
    for _ in range(draw(st.integers(0, 2))):
        match draw(st.integers(0, 5)):
            case 0 | 1 | 2:
                text = f"{text} | {draw(st.sampled_from(FILTERS))}"
            case 3:
                text = f"({text} {draw(st.sampled_from(OPERATORS))} {draw(st.sampled_from(EXPRESSIONS))})"
            case 4:
                text = f"({text} is {draw(st.sampled_from(TESTS))})"
            case _:
                text = f"(not {text})"
    return text


LITERALS = st.sampled_from(["Hello ", "{", "}}x", "a\n  b", "'", '"', "\\n", "<p>&</p>", "{# a comment #}", "%", "é€"])
PRINTED = expressions().map(lambda text: f"{{{{ {text} }}}}")
PIECES = st.recursive(
    st.one_of(LITERALS, PRINTED),
    lambda inner: st.builds(
        lambda test, then, also, other: (
            f"{{% if {test} %}}{then}{{% elif {also} %}}\n{then}{{% else %}}{other}{{% endif %}}"
        ),
        expressions(), inner, expressions(), inner,
    ),
    max_leaves=4,
)  # fmt: skip
BODIES = st.lists(PIECES, min_size=1, max_size=4).map("".join)


def told(template: Template, names: dict[str, Any]) -> tuple[str, object]:
    try:
        return "text", template.render(dict(names))
    except TemplateAbort as abort:
        return "abort", abort.reason
    except TemplateFailed as failure:
        return "failed", str(failure)


def both(folder: Path, names: dict[str, Any]) -> tuple[bool, tuple[str, object], tuple[str, object]]:
    """Whether the template is translated, what it says then, and what Jinja says."""
    ours, by_jinja = (Templates(folder).get("t", "email") for _ in range(2))
    is_translated = ours._straight is not None
    by_jinja._straight = None
    return is_translated, told(ours, names), told(by_jinja, names)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    subject=BODIES, html=BODIES, values=st.fixed_dictionaries(dict.fromkeys(FIELDS[:-1], VALUES)),
    extends=st.booleans(), zone=st.sampled_from(["Europe/Berlin", "Asia/Kathmandu"]),
)  # fmt: skip
def test_both_ways_say_the_same(
    tmp_path: Path, subject: str, html: str, values: dict[str, Any], extends: bool, zone: str
) -> None:
    child = f"{{% block subject %}}{subject}{{% endblock %}}{{% block html %}}{html}{{% endblock %}}"
    if extends:
        parent = (
            "{% block subject %}{% endblock %}{% block html %}<b>{% block inner %}x{% endblock %}</b>{% endblock %}"
        )
        (tmp_path / "base.j2").write_text(parent)
        child = "{% extends 'base.j2' %}" + child.replace("block html", "block inner")
    (tmp_path / "t.email.j2").write_text(child)
    names = {
        "profile": ProfileRow.of(values), "context": ContextRow.of(dict(reversed(values.items()))), "user_id": "u<1>",
        "campaign": "c", "step": 2, "variant": None, "message_id": "m", "now": dt.datetime(2026, 3, 2, 23),
        "time_zone": zone,
    }  # fmt: skip
    try:
        _, ours, jinja = both(tmp_path, names)
    except TemplateMistake:
        reject()  # what was drawn is no template
    assert repr(ours) == repr(jinja)


def test_the_usual_template_is_translated_and_a_loop_is_not(tmp_path: Path) -> None:
    names = {"profile": ProfileRow.of({"name": "Ann"}), "context": ContextRow.of({"price": 3, "lines": ["a", "b"]})}
    file = tmp_path / "t.email.j2"
    file.write_text(
        "Hello {{ profile.name | default('you') }}{% if context.price > 2 %}, {{ context.price | money }}{% endif %}"
    )
    assert both(tmp_path, names) == (True, *[("text", {"body": "Hello Ann, $3.00"})] * 2)
    file.write_text("{% for line in context.lines %}{{ line }}{% endfor %}")
    assert both(tmp_path, names) == (False, *[("text", {"body": "ab"})] * 2)


def test_a_long_chain_of_conditions_is_left_to_jinja(tmp_path: Path) -> None:
    """In Python it is one expression within another, deeper than Python compiles."""
    chain = "".join(f"{{% elif context.number == {number} %}}{number}" for number in range(1_050))
    (tmp_path / "t.email.j2").write_text(f"{{% if context.number < 0 %}}below{chain}{{% endif %}}")
    names = {"profile": ProfileRow(), "context": ContextRow.of({"number": 1_049})}
    translated, ours, jinja = both(tmp_path, names)
    assert not translated
    assert ours == jinja == ("text", {"body": "1049"})


def test_a_text_beyond_the_limit_fails_both_ways(tmp_path: Path) -> None:
    (tmp_path / "t.email.j2").write_text("{{ profile.name }}")
    names = {"profile": ProfileRow.of({"name": "x" * 1_000_001}), "context": ContextRow()}
    _, ours, jinja = both(tmp_path, names)
    assert ours == jinja
    assert ours[0] == "failed"


@pytest.mark.parametrize("file", sorted(RULES.glob("*.*.j2")), ids=lambda file: file.name)
def test_the_shops_own_templates(file: Path) -> None:
    name, *variant, channel, _ = file.name.split(".")
    ours, by_jinja = (Templates(RULES).get(name, channel, *variant) for _ in range(2))
    by_jinja._straight = None
    fields: dict[str, dict[str, Any]] = {"profile": {}, "context": {}}
    for row, field in ours.info.fields:
        fields[row][field] = 12.5
    names = {
        "profile": ProfileRow.of(fields["profile"]), "context": ContextRow.of(fields["context"]), "user_id": "u",
        "campaign": "c", "step": 1, "variant": None, "message_id": "m", "now": dt.datetime(2026, 3, 2),
        "time_zone": "UTC", "unsubscribe_url": "https://example.com/u?a=1&b=2",
    }  # fmt: skip
    assert told(ours, names) == told(by_jinja, names)
