"""Templates: what they may do, what is noticed before anybody is messaged, and what fails for one person only."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from activate.sandbox import Sandbox
from activate.template import (
    NAMES,
    ContextRow,
    ProfileRow,
    TemplateAbort,
    TemplateFailed,
    TemplateInfo,
    TemplateMistake,
    Templates,
    inspect_template,
    template_names,
)

PROFILE = {
    "first_name": "<Ann>", "items": "a column", "nothing": None, "email": "private@example.com",
    "seen_at": dt.datetime(2026, 3, 1, 23, 30), "born": dt.date(1990, 1, 2),
}  # fmt: skip
CONTEXT = {"price": 1234.5, "lines": [{"sku": "a", "price": 1.5}, {"sku": "b", "price": None}], "none": None}


class Bench:
    """A folder of templates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def inspect(self, text: str) -> TemplateInfo:
        return inspect_template(self.write("t.email.j2", text))

    def render(self, text: str, **names: Any) -> dict[str, str]:
        self.write("t.email.j2", text)
        template = Templates(self.folder).get("t", "email")
        known = {
            "profile": ProfileRow.of(PROFILE), "context": ContextRow.of(CONTEXT), "user_id": "u1", "campaign": "c",
            "step": 1, "variant": None, "message_id": "m", "now": dt.datetime(2026, 3, 2), "time_zone": "Europe/Berlin",
            **names,
        }  # fmt: skip
        first = template.render(known)
        assert template.render(known) == first, "a template leaves nothing behind"
        by_jinja = Templates(self.folder).get("t", "email")
        by_jinja._straight = None
        assert by_jinja.render(known) == first
        return first

    def body(self, text: str, **names: Any) -> str:
        return self.render(text, **names)["body"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# -- rendering --------------------------------------------------------------------------------------------------------


def test_without_blocks_the_whole_is_the_body(bench: Bench) -> None:
    assert bench.render("\n Hello {{ profile.first_name }} \n") == {"body": "Hello <Ann>"}


def test_only_html_is_escaped(bench: Bench) -> None:
    blocks = "".join(
        f"{{% block {name} %}}{{{{ profile.first_name }}}}{{% endblock %}}" for name in ("subject", "html", "text")
    )
    assert bench.render(blocks) == {"subject": "<Ann>", "html": "&lt;Ann&gt;", "text": "<Ann>"}


def test_what_stands_at_the_top_is_seen_in_the_blocks(bench: Bench) -> None:
    text = (
        "{% set greeting = 'Dear ' ~ profile.first_name %}{% macro bold(x) %}<b>{{ x }}</b>{% endmacro %}"
        "{% block text %}{{ greeting }}{% endblock %}{% block html %}{{ bold(greeting) }}{% endblock %}"
    )
    assert bench.render(text) == {"text": "Dear <Ann>", "html": "<b>Dear &lt;Ann&gt;</b>"}


def test_a_layout_is_extended(bench: Bench) -> None:
    bench.write(
        "layout.j2",
        "{% block subject %}Shop{% endblock %}{% block html %}<html>{% block inner %}{% endblock %}</html>{% endblock %}",
    )
    child = "{% extends 'layout.j2' %}{% block inner %}Hello {{ profile.first_name }}{% endblock %}"
    assert bench.render(child) == {"subject": "Shop", "html": "<html>Hello &lt;Ann&gt;</html>"}
    assert bench.inspect(child).blocks == ("subject", "html")


def test_a_column_wins_over_a_method(bench: Bench) -> None:
    assert bench.body("{{ profile.items }} {{ profile['items'] }}") == "a column a column"
    assert bench.body("{% set p = context %}{{ p.price }}") == "1234.5"


def test_a_null_is_false_equals_none_and_takes_a_default(bench: Bench) -> None:
    assert bench.body("{{ profile.nothing | default('x') }}{{ profile.nothing or 'y' }}") == "xy"
    assert (
        bench.body("{{ profile.nothing is none }} {{ profile.nothing == none }} {{ not context.none }}")
        == "True True True"
    )
    assert bench.body("{% if profile.nothing %}a{% else %}b{% endif %}{{ variant or 'none' }}") == "bnone"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ profile.nothing }}", "profile.nothing is null"),
        ("\n\n{{ context.none }}", ":3: context.none is null"),
        ("{{ profile.nothing | upper }}", "profile.nothing is null"),
        ("{{ context.none | money }}", "context.none is null"),
        ("{{ context.lines[1].price }}", "price is null"),
        ("{{ context.lines | map(attribute='price') | list | last }}", "a value is null"),
        ("{{ variant }}", "a value is null"),
        ("{{ context.unheard_of }}", "context.unheard_of is not known"),
        ("{{ context.lines[7] }}", "a name is not known"),
        ("{{ context[profile.email] }}", "a name is not known"),
        ("{{ profile.first_name + 1 }}", "TypeError"),
        ("{{ profile.first_name | money }}", "InvalidOperation"),
        ("{{ profile.first_name | date }}", "ValueError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
    ],
)
def test_a_failure_names_the_place_and_no_value(bench: Bench, text: str, message: str) -> None:
    with pytest.raises(TemplateFailed) as raised:
        bench.body(text)
    assert "rules/templates/t.email.j2:" in str(raised.value)
    assert message in str(raised.value)
    assert "private@example.com" not in str(raised.value)
    assert "Ann" not in str(raised.value)


def test_abort_keeps_a_reason_that_the_template_spells_out(bench: Bench) -> None:
    with pytest.raises(TemplateAbort) as raised:
        bench.body("{% if profile.items %}{{ abort('sold out') }}{% endif %}")
    assert raised.value.reason == "sold out"
    with pytest.raises(TemplateAbort) as raised:
        bench.body("{{ abort('x' * 10 ~ profile.email) }}{{ abort(profile.email) }}")
    assert raised.value.reason is None
    with pytest.raises(TemplateAbort) as raised:
        bench.body("{{ abort('" + "long " * 100 + "') }}")
    assert len(str(raised.value.reason)) == 200


def test_money_and_dates(bench: Bench) -> None:
    assert bench.body("{{ context.price | money }} {{ 0.125 | money }} {{ 1.005 | money }} {{ -3 | money('€') }}") == (
        "$1,234.50 $0.13 $1.01 -€3.00"
    )
    assert bench.body("{{ '12.345' | money(places=1) }} {{ 1000000 | money(places=0) }}") == "$12.3 $1,000,000"
    assert bench.body("{{ profile.seen_at | date('%-d.%-m. %H:%M') }}") == "2.3. 00:30"
    assert (
        bench.body("{{ profile.seen_at | date('%H:%M', 'UTC') }} {{ profile.born | date }}") == "23:30 02 January 1990"
    )
    assert bench.body("{{ '2026-07-01T12:00:00' | date('%H:%M %Z') }}") == "14:00 CEST"


# -- limits and attacks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' * 10000000 }}",
        "{{ 10000000 * 'x' }}",
        "{{ [1] * 10000000 }}",
        "{{ 10 ** 100000 }}",
        "{{ 2 ** 4000 * 2 ** 4000 }}",
        "{% for i in range(100000000) %}{% endfor %}",
        "{{ '%99999999d' % 1 }}",
        "{{ '%99999999d' | format(1) }}",
        "{{ '%*d' % (99999999, 1) }}",
        "{{ 'a' | center(99999999) }}",
        "{{ 'a' | indent(99999999) }}",
        "{{ 'a'.ljust(99999999) }}",
        "{{ 'a'['rjust'](99999999) }}",
        "{{ '{:>99999999}'.format(1) }}",
        "{{ 'a' | replace('a', 'b' * 1000000) | replace('b', 'c' * 1000) }}",
        "{{ (['x' * 1000000] * 1000) | join }}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% for i in range(9999) %}{{ 'x' * 1000 }}{% endfor %}",
        "{% macro forever() %}{{ forever() }}{% endmacro %}{{ forever() }}",
    ],
)
def test_no_template_can_ask_for_unbounded_work(bench: Bench, text: str) -> None:
    with pytest.raises(TemplateFailed):
        bench.body(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ '' | attr('__class__') }}",
        "{{ [''] | map(attribute='__class__') | list }}",
        "{{ [''] | selectattr('a.__class__') | list }}",
        "{{ [''] | groupby('__class__') | list }}",
        "{{ profile._secret }}",
        "{{ profile['_secret'] }}",
        "{{ self.__init__ }}",
        "{{ _context }}",
        "{% if false %}{{ ''.__class__ }}{% endif %}",
    ],
)
def test_attribute_attacks_are_seen_beforehand(bench: Bench, text: str) -> None:
    with pytest.raises(TemplateMistake, match="begin with an underscore are private"):
        bench.inspect("\n" + text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''['_' ~ '_class_' ~ '_'] }}",
        "{{ '' | attr('_' ~ '_class_' ~ '_') }}",
        "{{ ['']  | map(attribute='_' ~ '_class_' ~ '_') | first | string | length }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ '{0.__class__}' | attr('format') }}",
        "{{ range.mro() }}",
        "{{ context.lines.append(1) }}",
        "{{ context.lines.clear() }}",
        "{{ abort.func_globals }}",
        "{{ namespace['_' ~ '_init_' ~ '_'] }}",
    ],
)
def test_attacks_that_are_hidden_fail_when_rendered(bench: Bench, text: str) -> None:
    with pytest.raises((TemplateFailed, TemplateMistake)):
        bench.body(text)


def test_a_long_text_in_many_pieces_arrives_whole(bench: Bench) -> None:
    """Pieces are joined by handfuls; an empty handful in between is no end."""
    text = "{% for i in range(500) %}{{ '' }}{{ '' if i < 400 else i }}{% endfor %}"
    assert bench.body(text) == "".join(map(str, range(400, 500)))


# -- inspection -------------------------------------------------------------------------------------------------------


def test_fields_names_and_blocks_are_told(bench: Bench) -> None:
    bench.write("part.j2", "{{ profile.points }}{{ campaign }}")
    info = bench.inspect(
        "{% block subject %}{{ profile.first_name }}{% endblock %}"
        "{% block text %}{{ context['price'] }}{{ context.lines[0].sku }}{% include 'part.j2' %}{{ user_id }}{% endblock %}"
    )
    assert info.fields == {
        ("profile", "first_name"), ("profile", "points"), ("context", "price"), ("context", "lines"),
    }  # fmt: skip
    assert info.names == {"profile", "context", "user_id", "campaign"}
    assert info.blocks == ("subject", "text")
    assert info.whole == frozenset()
    assert bench.inspect("{% for name in profile %}{{ profile[name] }}{% endfor %}").whole == {"profile"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("{% if %}", 1, "Expected an expression"),
        ("a\nb\n{{ profile.first_name", 3, "unexpected end"),
        ("\n{{ nope }}", 2, "'nope' is not known; allowed: campaign, context"),
        ("{{ profle.x }}", 1, "did you mean 'profile'"),
        ("{{ 1 | mony }}", 1, "there is no filter 'mony'; did you mean 'money'"),
        ("{{ 1 is evn }}", 1, "there is no test 'evn'; did you mean 'even'"),
        ("{{ [1] | random }}", 1, "there is no filter 'random'"),
        ("{{ lipsum() }}", 1, "'lipsum' is not known"),
        ("{% set profile = 1 %}", 1, "'profile' is Activate's own name"),
        ("{% for now in [1] %}{% endfor %}", 1, "'now' is Activate's own name"),
        ("{% block a %}{% endblock %}\nstray", 2, "text outside the blocks would not be sent"),
        ("{% if step %}{% block a %}{% endblock %}{% endif %}", 1, "inside a condition"),
        ("{% include 'nothing.j2' %}", 1, "there is no template 'nothing.j2'"),
        ("{% include '../../etc/passwd' %}", 1, "there is no template"),
        ("{% include '/etc/passwd' %}", 1, "there is no template"),
        ("{% include profile.first_name %}", 1, "name the other template in quotes"),
        ("{% extends 't.email.j2' %}", 1, "extends itself"),
        ("{% extends 'base.j2' %}{% block bdy %}{% endblock %}", 1, "did you mean 'body'"),
    ],
)
def test_mistakes_are_told_with_their_line(bench: Bench, text: str, line: int, message: str) -> None:
    bench.write("base.j2", "{% block body %}{% endblock %}")
    with pytest.raises(TemplateMistake) as raised:
        bench.inspect(text)
    assert message in raised.value.message
    assert (raised.value.file, raised.value.line) == ("t.email.j2", line)


def test_a_mistake_in_an_included_file_names_that_file(bench: Bench) -> None:
    bench.write("part.j2", "\n{{ nope }}")
    with pytest.raises(TemplateMistake) as raised:
        bench.inspect("{% include 'part.j2' %}")
    assert (raised.value.file, raised.value.line) == ("part.j2", 2)


def test_a_part_is_read_for_each_of_its_users_and_anew_when_it_has_changed(bench: Bench) -> None:
    user = "{% include 'part.j2' %}{{ profile.last_name }}"
    bench.write("part.j2", "{{ profile.first_name }}")
    assert bench.inspect(user).fields == {("profile", "first_name"), ("profile", "last_name")}
    assert inspect_template(bench.folder / "part.j2").fields == {("profile", "first_name")}
    bench.write("part.j2", "{% set last = profile.points %}{{ last }}")
    assert bench.inspect(user).fields == {("profile", "points"), ("profile", "last_name")}
    bench.write("part.j2", "{{ nope }}")
    for file in ("t.email.j2", "part.j2"):
        with pytest.raises(TemplateMistake, match="'nope' is not known"):
            inspect_template(bench.folder / file)


def test_a_file_that_is_no_text_is_a_mistake(bench: Bench) -> None:
    bench.write("t.email.j2", "").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TemplateMistake, match="not UTF-8"):
        inspect_template(bench.folder / "t.email.j2")


def test_a_variants_own_file_comes_first(bench: Bench) -> None:
    assert template_names("cart", "email", "b") == ("cart.b.email.j2", "cart.email.j2")
    assert template_names("cart", "email") == ("cart.email.j2",)
    bench.write("cart.email.j2", "general")
    bench.write("cart.b.email.j2", "for b")
    templates = Templates(bench.folder)
    assert templates.get("cart", "email", "a").info.name == "cart.email.j2"
    assert templates.get("cart", "email", "b").info.name == "cart.b.email.j2"
    with pytest.raises(TemplateMistake, match="there is no template 'other.email.j2'"):
        templates.get("other", "email")


# -- documentation ----------------------------------------------------------------------------------------------------


def test_the_page_names_everything_a_template_may_use() -> None:
    text = (Path(__file__).parents[2] / "docs" / "templates.md").read_text()
    for name, meaning in NAMES.items():
        assert f"| `{name}` | {meaning} |" in text
    sandbox = Sandbox(None, autoescape=False)
    for name in sandbox.filters:
        assert f"`{name}`" in text, f"the filter {name} is not documented"
