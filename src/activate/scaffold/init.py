"""`dbt-activate init`: adds to a dbt project what it needs in order to be activated, and overwrites nothing."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from string import Template

from activate.errors import SettingsError
from activate.load.manifest import Manifest, read_manifest
from activate.scaffold.guess import KEYS, Guess, guess_events, guess_profiles
from activate.scaffold.reference import reference_project
from activate.scaffold.sources import state_source
from activate.settings import Options, manifest_path, project_setting

MACROS = ("activate_now.sql", "activate_create_missing.sql", "activate_contract.sql")
IGNORED = ("outbox/", "*.duckdb.*.lock")
HOOK = """        on-run-start: ["{{ activate_create_missing('activate') }}"]"""


def init(options: Options, *, dry_run: bool = False) -> list[str]:
    """Add rules, macros, the state's source, an example segment and campaign; return a line for each thing done.

    A file that exists is left as it is, and with `dry_run` nothing is written. The lines also say what was guessed,
    what was left and what remains to be done by hand. Raises SettingsError when there is no dbt project, or a broken
    one.
    """
    if not (options.project_dir / "dbt_project.yml").is_file():
        raise SettingsError(
            f"no dbt_project.yml in {options.project_dir}; `dbt-activate init` adds to a dbt project that exists"
        )
    lines: list[str] = []
    adding = "to add " if dry_run else "added  "
    manifest = _manifest(options, lines)
    for place, text in _files(options, manifest, lines).items():
        target = options.project_dir / place
        if target.exists():
            lines.append(f"left    {place} (it exists)")
            continue
        if not dry_run:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        lines.append(f"{adding} {place}")
    if ignored := _ignore(options.project_dir, dry_run):
        lines.append(f"{adding} to .gitignore: {', '.join(ignored)}")
    return lines + _what_remains(options)


def _manifest(options: Options, lines: list[str]) -> Manifest | None:
    path = manifest_path(options)
    if not path.is_file():
        lines.append(
            "note    no manifest.json yet, so no model was looked at; `dbt parse` before `init` lets it guess better"
        )
        return None
    return read_manifest(path)


def _files(options: Options, manifest: Manifest | None, lines: list[str]) -> dict[str, str]:
    """The files to write, by their path in the project."""
    models = f"{_first(options, 'model-paths', 'models')}/activate"
    macros = f"{_first(options, 'macro-paths', 'macros')}/activate"
    declared = _own_models(manifest) if manifest else {}
    profiles, events = guess_profiles(declared), guess_events(declared)
    for what, guess in (("people", profiles), ("events", events)):
        found = f"guess   {what} are in the model {guess.name!r}" if guess else None
        lines.append(found or f"note    no model of {what} found: an example stands in")
    names = _names(profiles, events)
    files = {
        "rules/activate.yml": _text("activate.yml", names),
        "rules/campaigns/activate_welcome.yml": _text("welcome.yml", {}),
        "rules/templates/activate_welcome.email.j2": _text("welcome.email.j2", {}),
        f"{models}/activate_sources.yml": state_source(),
        f"{models}/activate_example.yml": _text("example.yml", {}),
        f"{models}/activate_example.sql": _text("example_segment.sql", {}),
    }
    if profiles is None:
        files[f"{models}/activate_example_profiles.sql"] = _text("example_profiles.sql", {})
    if events is None:
        files[f"{models}/activate_example_events.sql"] = _text("example_events.sql", {})
    source = reference_project() / "macros" / "activate"
    return files | {f"{macros}/{name}": (source / name).read_text("utf-8") for name in MACROS}


def _own_models(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """The project's own models with their declared columns; what `init` itself has added is no candidate."""
    return {
        name: tuple(manifest.declared.get(name, ()))
        for name, model in manifest.models.items()
        if model.unique_id.startswith(f"model.{manifest.project}.") and not name.startswith("activate_example")
    }


def _names(profiles: Guess | None, events: Guess | None) -> dict[str, str]:
    people = profiles or Guess("activate_example_profiles", frozenset(), 0)
    stream = events or Guess("activate_example_events", frozenset(), 0)
    key = people.column("key")
    check = "     # a guess: check the names"
    return {
        "profiles": people.name, "profile_key": key, "time_zone": people.column("time_zone"),
        "email": people.column("email"), "email_consent": people.column("email_consent"),
        "profiles_note": check if profiles else "", "events_note": check if events else "",
        "events": stream.name, "event_key": stream.column("key", key) if events else KEYS[0],
        **{what: stream.column(what) for what in ("event_id", "event_name", "event_time", "event_loaded")},
    }  # fmt: skip


def _text(name: str, names: Mapping[str, str]) -> str:
    text = importlib.resources.files("activate.scaffold").joinpath("files", name).read_text("utf-8")
    return Template(text).substitute(names) if names else text


def _first(options: Options, key: str, default: str) -> str:
    paths = project_setting(options, key)
    return str(paths[0]) if isinstance(paths, list) and paths else default


def _ignore(project_dir: Path, dry_run: bool) -> list[str]:
    """Append what is missing to .gitignore; return the lines that were."""
    file = project_dir / ".gitignore"
    text = file.read_text("utf-8") if file.is_file() else ""
    missing = [line for line in IGNORED if line not in text.splitlines()]
    gap = "" if not text or text.endswith("\n") else "\n"
    if missing and not dry_run:
        file.write_text(text + gap + "\n".join(missing) + "\n", "utf-8")
    return missing


def _what_remains(options: Options) -> list[str]:
    lines = ["next    dbt build, then dbt-activate lint and dbt-activate plan"]
    # Read as text: the hooks are Jinja that only dbt can render.
    if "activate_create_missing" not in (options.project_dir / "dbt_project.yml").read_text("utf-8"):
        lines = [
            "next    for models on Activate's state to build from the first day, put into dbt_project.yml:",
            HOOK,
            *lines,
        ]
    return lines
