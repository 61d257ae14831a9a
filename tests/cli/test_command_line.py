"""The command as people type it: quick to start, clear when it is typed wrongly, honest about how it ended."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from activate.cli import EXIT_CODES, VERBS, build_parser, main
from activate.errors import ActivateError

HEAVY = (
    "duckdb",
    "sqlglot",
    "pyarrow",
    "pydantic",
    "requests",
    "jinja2",
    "rich",
    "yaml",
    "adbc_driver_postgresql",
    "numpy",
)
COMMAND = [sys.executable, "-m", "activate"]


def _run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    out, err = io.StringIO(), io.StringIO()
    here = contextlib.chdir(cwd) if cwd else contextlib.nullcontext()
    with here, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def test_help_imports_nothing_heavy() -> None:
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "activate", "--help"], capture_output=True, text=True, check=True
    )
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in found.stderr.splitlines() if "|" in line}
    assert "argparse" in imported
    assert imported.isdisjoint(HEAVY)


def test_help_answers_within_0_4_seconds() -> None:
    """Of the processor's time, which other programs on the machine do not change; the best of a few."""
    spent = []
    for _ in range(5):
        process = subprocess.Popen([*COMMAND, "--help"], stdout=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        spent.append(usage.ru_utime + usage.ru_stime)
    assert min(spent) < 0.4


def test_help_names_every_verb_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    told = capsys.readouterr().out
    assert all(f"\n    {verb.name}" in told for verb in VERBS)
    assert all(f" {code}  {meaning}" in told for code, meaning in EXIT_CODES.items())


def _all_errors(kind: type[ActivateError] = ActivateError) -> list[type[ActivateError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _all_errors(child))]


def test_every_error_class_ends_with_a_documented_code() -> None:
    assert {kind.exit_code for kind in _all_errors() if kind.__module__.startswith("activate.")} <= set(EXIT_CODES)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["stats"], "did you mean 'status'?"),
        (["plan", "--sampels", "3"], "did you mean '--samples'?"),
        (["lint", "--now", "2026-01-01"], "unrecognized arguments: --now 2026-01-01; it goes with run, plan, "),
        (["plan", "--now", "yesterday"], "'yesterday' is not a date or time"),
        (["plan", "--samples", "-1"], "is not a whole number"),
        (["preview", "a", "b", "--step", "0"], "must be at least 1"),
        (["explain"], "PERSON"),
    ],
)
def test_a_command_typed_wrongly_ends_with_64_and_a_hint(words: list[str], hint: str) -> None:
    found = _run(*words)
    assert found.returncode == 64
    assert found.stdout == ""
    assert hint in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_with_json_an_error_is_one_document_on_stdout(tmp_path: Path) -> None:
    found = _run("status", "--json", cwd=tmp_path)
    assert found.returncode == 3
    assert found.stderr == ""
    error = json.loads(found.stdout)["error"]
    assert error["type"] == "SettingsError"
    assert error["exit_code"] == 3
    assert "--project-dir" in error["message"]


def test_without_json_an_error_is_on_stderr(tmp_path: Path) -> None:
    found = _run("status", cwd=tmp_path)
    assert (found.returncode, found.stdout) == (3, "")
    assert found.stderr.startswith("dbt-activate: no dbt_project.yml in")


def test_version() -> None:
    assert _run("--version").stdout.startswith("dbt-activate 0.")


def test_the_schema_of_a_campaign_needs_no_project(tmp_path: Path) -> None:
    found = _run("schema", "campaign", cwd=tmp_path)
    assert json.loads(found.stdout)["properties"]["steps"]
    assert set(json.loads(_run("schema", cwd=tmp_path).stdout)) == {"activate", "audience", "campaign", "request"}
    assert "did you mean 'campaign'?" in _run("schema", "campain").stderr


def test_schemas_are_written_where_out_says(tmp_path: Path) -> None:
    found = _run("schema", "--out", str(tmp_path / "a" / "b"))
    files = [Path(line) for line in found.stdout.splitlines()]
    assert [file.name for file in files] == [
        "activate.schema.json",
        "campaign.schema.json",
        "audience.schema.json",
        "request.schema.json",
    ]
    assert all(json.loads(file.read_text()) for file in files)


def test_an_unexpected_error_is_one_line_without_the_error_s_own_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> int:
        raise KeyError("someone@example.com")

    monkeypatch.setattr("activate.commands.execute", broken)
    assert main(["status"]) == 1
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "unexpected KeyError in cli/test_command_line.py:" in told
    assert "someone@example.com" not in told
    assert main(["status", "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("activate.commands.execute", interrupted)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert main(["run", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 130


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        words = [*COMMAND, "schema"]
        found = subprocess.run(words, stdout=gone, stderr=subprocess.PIPE, text=True, check=False)
    assert found.returncode == 141
    assert found.stderr == ""


def test_a_terminal_that_cannot_show_a_sign_gets_a_question_mark() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys; from activate.cli import main; main(['--version']); print('\\u2713')"],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert found.stdout.endswith("?\n")


def test_every_verb_has_help() -> None:
    parser = build_parser()
    for verb in VERBS:
        assert verb.name in parser.format_help()
        with pytest.raises(SystemExit) as ending:
            parser.parse_args([verb.name, "--help"])
        assert ending.value.code == 0


def test_every_verb_of_the_help_is_on_one_line_with_its_summary() -> None:
    text = build_parser().format_help()
    for verb in VERBS:
        assert re.search(rf"^ +{verb.name} +{re.escape(verb.summary)}$", text, re.MULTILINE), verb.name


def test_the_page_writes_a_percent_sign_as_people_read_it() -> None:
    assert "%%" not in (Path(__file__).parents[2] / "docs/cli.md").read_text("utf-8")
