"""Where the project, its dbt profile and its secrets are: the only module that reads the environment.

The discovery is dbt's own (dbt-core 1.11, `cli/resolvers.py` and `config/profile.py`), so that Activate and dbt,
started in the same place with the same options, work on the same database. dbt itself is never imported.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activate.errors import SettingsError, nearest

_NO_SECRETS: Mapping[str, str] = {}
SECRET_BYTES = 32
"""What a key of HMAC-SHA256 must have at least (RFC 7518, 3.2)."""


@dataclass(frozen=True)
class Options:
    """What the command line (or an operator) said. `find_options` fills in what it did not say.

    `profiles_dir` is the directory that holds profiles.yml. `target` and `profile` are None where profiles.yml and
    dbt_project.yml are to decide. `secrets` is asked before the environment whenever a file says `env_var('X')`.
    """

    project_dir: Path
    profiles_dir: Path | None = None
    target: str | None = None
    profile: str | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)
    target_path: Path | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Target:
    """One output of profiles.yml, rendered. `settings` holds secrets and is never shown.

    `directory` is the project's: dbt works there, so relative paths in `settings` start from it.
    """

    type: str
    name: str
    settings: Mapping[str, Any] = field(repr=False)
    directory: Path = Path()


def find_options(
    project_dir: str | Path | None = None,
    profiles_dir: str | Path | None = None,
    target: str | None = None,
    profile: str | None = None,
    *,
    variables: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Options:
    """Complete the options as dbt does: the option, else DBT_PROJECT_DIR and so on, else by looking around.

    Raises SettingsError when there is no dbt_project.yml, or the directory named for profiles does not exist.
    """
    named = project_dir or _dbt_variable("PROJECT_DIR")
    directory = Path(named).expanduser() if named else _nearest_project(Path.cwd())
    if not (directory / "dbt_project.yml").is_file():
        where = f"in {directory}" if named else f"in {directory} or any directory above it"
        raise SettingsError(
            f"no dbt_project.yml {where}; go into the dbt project, or name it with --project-dir or DBT_PROJECT_DIR"
        )
    target_path = _dbt_variable("TARGET_PATH")
    return Options(
        project_dir=directory.resolve(),
        profiles_dir=_find_profiles(profiles_dir or _dbt_variable("PROFILES_DIR"), directory),
        target=target or _dbt_variable("TARGET"),
        profile=profile or _dbt_variable("PROFILE"),
        vars=dict(variables or {}),
        target_path=Path(target_path) if target_path else None,
        secrets=dict(secrets or {}),
    )


def load_target(options: Options) -> Target:
    """Read the output of profiles.yml that dbt would use.

    Raises SettingsError, naming file and key, when the profile, the target or an environment variable is missing.
    """
    directory = options.profiles_dir or _find_profiles(None, options.project_dir)
    file = directory / "profiles.yml"
    if not file.is_file():
        raise SettingsError(f"{file} does not exist; write it, or name its directory with --profiles-dir")
    profiles = _read_yaml(file)
    render = _renderer(file.name, options.secrets, options.vars)
    profile_name = options.profile or project_setting(options, "profile")
    if not profile_name:
        raise SettingsError(f"{options.project_dir / 'dbt_project.yml'}: no `profile`; add one, or use --profile")
    profile = _pick(profiles, profile_name, f"{file}: no profile", "profiles")
    outputs = _mapping(profile.get("outputs"), f"{file}: {profile_name}.outputs")
    name = str(options.target or render(profile.get("target", "default"), f"{profile_name}.target"))
    _pick(outputs, name, f"{file}: profile {profile_name!r} has no target", "targets")
    settings = render(outputs[name], f"{profile_name}.outputs.{name}")
    if not isinstance(settings.get("type"), str):
        raise SettingsError(f"{file}: {profile_name}.outputs.{name} has no `type`; write the adapter, e.g. duckdb")
    return Target(settings["type"], name, settings, options.project_dir)


def project_setting(options: Options, key: str) -> Any:
    """Return a rendered top-level value of dbt_project.yml, or None."""
    file = options.project_dir / "dbt_project.yml"
    if not file.is_file():
        raise SettingsError(f"{file} does not exist; name the dbt project with --project-dir")
    value = _read_yaml(file).get(key)
    return _renderer(file.name, options.secrets, options.vars)(value, key)


def manifest_path(options: Options) -> Path:
    """Where dbt writes manifest.json: in DBT_TARGET_PATH, else dbt_project.yml's `target-path`, else `target`."""
    folder = options.target_path or Path(project_setting(options, "target-path") or "target")
    return options.project_dir / folder / "manifest.json"


def resolve_destination(
    name: str, options: Mapping[str, Any], secrets: Mapping[str, str] = _NO_SECRETS
) -> dict[str, Any]:
    """As `resolve_provider`, for a section of `destinations:`."""
    resolved: dict[str, Any] = _renderer("rules/activate.yml", secrets, {})(dict(options), f"destinations.{name}")
    return resolved


def resolve_provider(name: str, options: Mapping[str, Any], secrets: Mapping[str, str] = _NO_SECRETS) -> dict[str, Any]:
    """Fill in `{{ env_var('X') }}` in a provider's options, at the moment when the provider is used.

    `secrets` is asked before the environment. Raises SettingsError naming the provider, the option and the variable.
    """
    return resolve_section("providers", name, options, secrets)


def resolve_section(
    kind: str, name: str, options: Mapping[str, Any], secrets: Mapping[str, str] = _NO_SECRETS
) -> dict[str, Any]:
    """The same of a section of `kind` (`providers` or `ingest`)."""
    render = _renderer("rules/activate.yml", secrets, {})
    resolved: dict[str, Any] = render(dict(options), f"{kind}.{name}")
    return resolved


def feed_secrets() -> tuple[str, ...]:
    """The secrets that a feed's tokens are signed with: the current one, then the previous one while there is one.

    Raises SettingsError when ACTIVATE_FEED_SECRET is missing, or a secret is shorter than HMAC-SHA256 wants (32 bytes).
    """
    names = ("ACTIVATE_FEED_SECRET", "ACTIVATE_FEED_SECRET_PREVIOUS")
    found = {name: os.environ[name] for name in names if os.environ.get(name)}
    if names[0] not in found:
        raise SettingsError(
            f"{names[0]} is not set; make a secret with `openssl rand -hex 32` and keep it in the environment"
        )
    for name, secret in found.items():
        if len(secret.encode()) < SECRET_BYTES:
            raise SettingsError(f"{name} is shorter than {SECRET_BYTES} bytes; make one with `openssl rand -hex 32`")
    return tuple(found.values())


def spool_folder(project_dir: Path) -> Path:
    """Where events wait for the warehouse: ACTIVATE_SPOOL, else a folder of the project that is not cleaned by dbt."""
    named = os.environ.get("ACTIVATE_SPOOL")
    return Path(named).expanduser() if named else project_dir / ".activate" / "events"


# -- finding ----------------------------------------------------------------------------------------------------------


def _dbt_variable(name: str) -> str | None:
    # dbt 1.11 renamed its own variables DBT_ENGINE_*, asks those first, and still reads the old names.
    return os.environ.get(f"DBT_ENGINE_{name}") or os.environ.get(f"DBT_{name}")


def _nearest_project(start: Path) -> Path:
    return next((path for path in (start, *start.parents) if (path / "dbt_project.yml").is_file()), start)


def _find_profiles(named: str | Path | None, project_dir: Path) -> Path:
    if named:
        directory = Path(named).expanduser()
        if not directory.is_dir():
            raise SettingsError(f"the profiles directory {directory} does not exist (--profiles-dir, DBT_PROFILES_DIR)")
        return directory.resolve()
    for directory in (Path.cwd(), project_dir):
        if (directory / "profiles.yml").is_file():
            return directory.resolve()
    return Path.home() / ".dbt"


def _read_yaml(file: Path) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415  # `dbt-activate --help` has to be quick

    try:
        return _mapping(yaml.load(file.read_text("utf-8"), yaml.CSafeLoader), str(file))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"{file}:{line}: the YAML is broken: {error.problem}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{file} cannot be read: {type(error).__name__}") from None


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not value:
        raise SettingsError(f"{where} must be a mapping of names to values")
    return value


def _pick(found: Mapping[str, Any], name: str, complaint: str, kind: str) -> Mapping[str, Any]:
    if name not in found:
        names = [str(key) for key in found if key != "config"]
        raise SettingsError(f"{complaint} {name!r}; {kind} there: {', '.join(names)}{nearest(name, names)}")
    return _mapping(found[name], f"{complaint.split(':', maxsplit=1)[0]}: {name}")


# -- rendering --------------------------------------------------------------------------------------------------------


class _Text(str):
    """The answer of `as_text`: stays text, though it may look like a number."""


class _Native(str):
    """The answer of `as_number`, `as_bool` and `as_native`: to be read as a Python literal."""


def _renderer(file: str, secrets: Mapping[str, str], variables: Mapping[str, Any]) -> Callable[[Any, str], Any]:
    """Return a function that renders the strings in a value as dbt renders profiles.yml; it is told the key."""
    from jinja2 import StrictUndefined  # noqa: PLC0415  # `dbt-activate --help` has to be quick
    from jinja2.nativetypes import NativeCodeGenerator  # noqa: PLC0415
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

    class Environment(SandboxedEnvironment):
        code_generator_class = NativeCodeGenerator

    environment = Environment(undefined=StrictUndefined)
    environment.filters.update(as_text=_Text, as_number=_Native, as_bool=_Native, as_native=_Native)

    def render(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: render(item, f"{key}.{name}") for name, item in value.items()}
        if isinstance(value, list):
            return [render(item, f"{key}[{index}]") for index, item in enumerate(value)]
        if not isinstance(value, str) or not ("{{" in value or "{%" in value or "{#" in value):
            return value
        environment.globals["env_var"] = _env_var(file, key, secrets)
        environment.globals["var"] = _var(file, key, variables)
        try:
            template = environment.from_string(value)
            return _join(template.root_render_func(template.new_context()))
        except SettingsError:
            raise
        except Exception as error:  # what a template computes can fail in any way
            if key.rsplit(".", 1)[-1] in ("password", "pass"):
                return value  # a password may look like Jinja; dbt leaves it as it is, too
            # The error's own words could quote a secret, so only its kind is told.
            raise SettingsError(f"{file}: {key} cannot be rendered ({type(error).__name__})") from None

    return render


def _env_var(file: str, key: str, secrets: Mapping[str, str]) -> Callable[..., str]:
    def env_var(name: str, default: str | None = None) -> str:
        value = secrets.get(name, os.environ.get(name, default))
        if value is None:
            raise SettingsError(f"{file}: {key} needs the environment variable {name!r}, which is not set")
        return value

    return env_var


def _var(file: str, key: str, variables: Mapping[str, Any]) -> Callable[..., Any]:
    def var(name: str, default: Any = None) -> Any:
        value = variables.get(name, default)
        if value is None:
            raise SettingsError(f"{file}: {key} needs the variable {name!r}; give it with --vars")
        return value

    return var


def _join(parts: Iterable[Any]) -> Any:
    """One part keeps its type (`| int` gives a number); several are joined as text."""
    found = list(parts)
    if len(found) != 1:
        return "".join(str(part) for part in found)
    part = found[0]
    if isinstance(part, _Native):
        text = str(part)
        return ast.literal_eval(text.title() if text.lower() in ("true", "false") else text)
    return str(part) if isinstance(part, str) else part
