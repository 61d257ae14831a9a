"""What a template prints at the least: the fixed text on the shortest way through it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activate.template import ContextRow, LeastPart, ProfileRow, TemplateAbort, Templates, read_template


def _least(folder: Path, **files: str) -> dict[str, str]:
    for name, text in files.items():
        (folder / f"{name}.sms.j2").write_text(text)
    return {block: part.text for block, part in read_template(folder / "a.sms.j2")[1].items()}


@pytest.mark.parametrize(
    ("template", "least"),
    [
        ("Hello {{ profile.first_name }}!", "Hello !"),
        ("{{ profile.text }}", ""),
        ("  Hello\n", "Hello"),
        ("{{ 'Hello' }} {{ 3 }}", "Hello 3"),
        ("{{ profile.name | default('there') }}", ""),
        ("{% if profile.x %}long{% endif %}.", "."),
        ("{% if profile.x %}long{% else %}s{% endif %}.", "s."),
        ("{% if profile.x %}long{% elif profile.y %}mid{% else %}other{% endif %}.", "mid."),
        ("{% if profile.x %}long{% else %}{{ abort('no x') }}{% endif %}.", "long."),
        ("{{ 'yes' if profile.x else 'no' }}.", "no."),
        ("{{ 'yes' if profile.x else abort('no') }}.", "yes."),
        ("{{ 'yes' if profile.x }}.", "."),
        ("{% for x in context.items %}item{% endfor %}.", "."),
        ("{% for x in context.items %}item{% else %}none at all{% endfor %}.", "item."),
        ("{% set x %}kept{% endset %}{% set y = 'no' %}{{ x }}.", "."),
        ("{% with x = 1 %}in{% endwith %}.", "in."),
        ("{% filter upper %}text{% endfilter %}.", "."),
        ("{# a note #}{% raw %}{{ as it is }}{% endraw %}", "{{ as it is }}"),
        ("{% macro end() %}STOP to end{% endmacro %}Hi. {{ end() }}", "Hi. STOP to end"),
        ("{% macro end(n) %}{% if n %}{{ end(n - 1) }}{% endif %}x{% endmacro %}{{ end(3) }}", "x"),
        ("{% macro m() %}in {{ caller() }}{% endmacro %}{% call m() %}body{% endcall %}.", "."),
    ],
)
def test_a_template_without_blocks(tmp_path: Path, template: str, least: str) -> None:
    assert _least(tmp_path, a=template) == {"body": least}


def test_a_template_that_always_gives_up_has_no_content(tmp_path: Path) -> None:
    assert _least(tmp_path, a="{{ abort('never') }}text") == {}
    assert _least(tmp_path, a="{% block body %}x{% endblock %}{% block url %}{{ abort('n') }}{% endblock %}") == {}


def test_blocks_have_their_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "layout.j2").write_text("{% block subject %}Our shop{% endblock %}\n{% block text %}{% endblock %}\n")
    path = tmp_path / "a.email.j2"
    path.write_text('{% extends "layout.j2" %}\n\n{% block text %}Hi {{ super() }}{% endblock %}\n')
    assert read_template(path)[1] == {
        "subject": LeastPart("Our shop", "layout.j2", 1),
        "text": LeastPart("Hi", "a.email.j2", 3),
    }


def test_a_parents_text_and_inner_blocks_are_those_that_would_be_sent(tmp_path: Path) -> None:
    (tmp_path / "layout.j2").write_text(
        "{% block body %}Dear {% block who %}customer{% endblock %}, {% block end %}bye{% endblock %}{% endblock %}"
    )
    text = '{% extends "layout.j2" %}{% block who %}friend{% endblock %}{% block end %}{{ super() }} bye{% endblock %}'
    assert _least(tmp_path, a=text) == {"body": "Dear friend, bye bye"}


def test_included_and_imported_text_counts(tmp_path: Path) -> None:
    (tmp_path / "footer.j2").write_text("STOP to end{{ profile.x }}")
    (tmp_path / "macros.j2").write_text("{% macro sign() %}Your shop{% endmacro %}")
    assert _least(tmp_path, a='Hi. {% include "footer.j2" %}') == {"body": "Hi. STOP to end"}
    assert _least(tmp_path, a='{% import "macros.j2" as m %}Hi. {{ m.sign() }}') == {"body": "Hi. Your shop"}
    assert _least(tmp_path, a='{% from "macros.j2" import sign %}Hi. {{ sign() }}') == {"body": "Hi. Your shop"}


PIECES = st.recursive(
    st.sampled_from(["text ", "{{ profile.a }}", "{{ 'x' }}", "{{ profile.b | default('there') }}", "ü "]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.builds("{{% if profile.a %}}{}{{% else %}}{}{{% endif %}}".format, inner, inner),
        st.builds("{{% if profile.b %}}{}{{% endif %}}".format, inner),
        st.builds("{{% for i in range(profile.n) %}}{}{{% else %}}{}{{% endfor %}}".format, inner, inner),
        st.builds("{{% if profile.a %}}{{{{ abort('x') }}}}{{% else %}}{}{{% endif %}}".format, inner),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(template=PIECES, a=st.sampled_from(["", "Ann"]), b=st.sampled_from([None, "", "Bo"]), n=st.integers(0, 2))
def test_nobody_gets_less(template: str, a: str, b: str | None, n: int) -> None:
    with TemporaryDirectory() as name:
        _holds(Path(name), template, {"a": a, "b": b, "n": n})


def _holds(folder: Path, template: str, row: dict[str, Any]) -> None:
    least = _least(folder, a=f"|{template}|")
    try:
        names = {"profile": ProfileRow.of(row), "context": ContextRow()}
        content = Templates(folder).get("a", "sms").render(names)
    except TemplateAbort:
        return
    assert len(least["body"]) <= len(content["body"])
