"""YAML becomes plain data with lines; what cannot be read is told with its line, and nothing else happens."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from activate.load.parse import MAX_NODES, parse_yaml, read_yaml


def _mistake(text: str) -> str:
    document, mistakes = parse_yaml(text, "f.yml")
    assert document is None or mistakes
    assert len(mistakes) == 1, mistakes
    return str(mistakes[0])


def test_every_key_and_value_has_its_line() -> None:
    document, mistakes = parse_yaml("a: 1\nb:\n  - x\n  - c:\n      long\n# more\nd: {e: [f]}\n", "f.yml")
    assert document is not None
    assert not mistakes
    assert document.data == {"a": 1, "b": ["x", {"c": "long"}], "d": {"e": ["f"]}}
    assert document.line(("b", 0)) == 3
    assert document.line(("b", 1, "c"), "key") == 4
    assert document.line(("b", 1, "c")) == 5
    assert document.line(("d", "e", 0)) == 7
    assert document.line(("d", "missing", "deeper")) == 7, "what is not there stands where its neighbours are"
    assert document.line(("missing",)) == 1


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("21:00", "21:00"),
        ("09:00", "09:00"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("0o17", "0o17"),
        ("010", "010"),
        ("10%", "10%"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("-5", -5),
        ("2.50", 2.5),
        ("1e3", 1000.0),
        (".nan", ".nan"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_only_plain_words_and_numbers_are_something_else_than_text(written: str, read: object) -> None:
    document, mistakes = parse_yaml(f"a: {written}", "f.yml")
    assert document is not None
    assert not mistakes
    assert document.data == {"a": read}
    assert type(document.data["a"]) is type(read)


def test_on_is_a_key_like_any_other() -> None:
    document, _ = parse_yaml("on: exit", "f.yml")
    assert document is not None
    assert document.data == {"on": "exit"}


def test_a_duplicate_key_names_both_lines_and_keeps_the_first() -> None:
    document, mistakes = parse_yaml("a: 1\nb: 2\na: 3", "f.yml")
    assert [str(mistake) for mistake in mistakes] == ["f.yml:3: error: the key 'a' is already on line 1"]
    assert document is not None
    assert document.data == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "f.yml:2: error: the YAML is broken"),
        ("a: 'x", "f.yml:1: error: the YAML is broken"),
        ("a: b: c", "f.yml:1: error: the YAML is broken: mapping values are not allowed in this context"),
        ("a:\n  b: 1\n c: 2", "f.yml:3: error: the YAML is broken"),
        ("a:\n\tb: 1", "f.yml:2: error: the line is indented with a tab; YAML wants spaces"),
        ("a: 1\n---\nb: 2", "f.yml:2: error: a second document (`---`) is not allowed here"),
        ("- a\n- b", "f.yml:1: error: the file must be a mapping of keys to values, not a list"),
        ("just words", "f.yml:1: error: the file must be a mapping of keys to values, not a single value"),
        ("", "f.yml: error: is empty"),
        ("# only a comment\n", "f.yml: error: is empty"),
        ("---\n...\n", "f.yml: error: is empty"),
        ("a: \x00", "f.yml:1: error: the YAML is broken: it contains a control character"),
        ("a: *b", "f.yml:1: error: the alias *b has no anchor &b before it"),
        ("a: &a [*a]", "f.yml:1: error: the alias *a has no anchor &a before it"),
        ("? [a]\n: b", "f.yml:1: error: a key must be a word, not a list, a mapping or an alias"),
        ("a: !!python/object/apply:os.system ['true']", "f.yml:1: error: the tag 'tag:yaml.org,2002:python/"),
        ("a: !custom x", "f.yml:1: error: the tag '!custom' is not allowed; write plain YAML"),
        ("a: !!binary aGk=", "f.yml:1: error: the tag 'tag:yaml.org,2002:binary' is not allowed"),
        ("x: 1\na: " + "[" * 5000, "f.yml:2: error: is nested more than 30 levels deep"),
        ("a: {" + "b: {" * 5000, "f.yml:1: error: is nested more than 30 levels deep"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, said: str) -> None:
    assert _mistake(text).startswith(said)


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    lines = ["a0: &a0 [" + "x, " * 9 + "x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]
    started = time.perf_counter()
    assert f"more than {MAX_NODES:,} values" in _mistake("\n".join(lines))
    assert time.perf_counter() - started < 2


def test_honest_aliases_are_what_they_stand_for() -> None:
    document, mistakes = parse_yaml("a: &x {b: [1]}\nc: *x", "f.yml")
    assert document is not None
    assert not mistakes
    assert document.data == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert document.line(("c", "b", 0)) == 2


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "f.yml"
    path.write_bytes("a: 1\nb: grün\n".encode("latin-1"))
    assert [str(mistake) for mistake in read_yaml(path, "f.yml")[1]] == [
        "f.yml:2: error: is not UTF-8; save the file in that encoding"
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "f.yml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: x\r\n")
    document, mistakes = read_yaml(path, "f.yml")
    assert document is not None
    assert not mistakes
    assert document.data == {"a": 1, "b": "x"}


def test_a_file_that_is_too_large_or_gone_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "f.yml"
    assert "cannot be read: No such file" in str(read_yaml(path, "f.yml")[1][0])
    path.write_bytes(b"a: " + b"x" * 1_000_001)
    assert "at most 1,000,000" in str(read_yaml(path, "f.yml")[1][0])
