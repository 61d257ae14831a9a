"""How providers declare their settings, so that checks, defaults and documentation come from one place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from activate.errors import nearest
from activate.words import parse_duration

# Names of secrets among headers and the options of file systems (s3fs, gcsfs, adlfs, paramiko): `key`, `secret`, `token`,
# `account_key`, `sas_token`, `aws_secret_access_key`, `Authorization`, `X-Api-Key`. A path to a key is none, and gcsfs has
# words for where to find a token.
_SECRET_NAME = re.compile(
    r"secret|passw|passphrase|token|credential|authori[sz]ation|cookie|connection_string|access_?key|"
    r"(^|[_-]|api|account|private)(key|pkey|sas|pwd|auth)$", re.IGNORECASE,
)  # fmt: skip
_NO_SECRET_NAME = re.compile(r"(file|filename|path)$", re.IGNORECASE)
_NO_SECRETS = ("anon", "browser", "cache", "cloud", "google_default")
# What a section may use beside Jinja's own words (activate.settings gives them their meaning); dbt's `var` is for profiles.yml.
_FUNCTIONS = ("env_var",)
_FILTERS = ("as_text", "as_number", "as_bool", "as_native")
_PASSWORD_IN_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/@:\s]*:[^/@\s]+@")


@dataclass(frozen=True)
class Option:
    """One setting of a provider. `secret` ones are written as `{{ env_var('NAME') }}` in the file.

    `kind` is the type; `low` and `high` bound numbers; `check` returns what is wrong with a value, or None.
    """

    name: str
    doc: str
    kind: Literal["text", "whole", "number", "flag", "duration", "mapping"] = "text"
    required: bool = False
    secret: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    check: Callable[[Any], str | None] | None = None


COMMON = (
    Option("per_second", "Requests per second at most.", "number", low=0.001, high=100_000),
    Option("concurrency", "Requests under way at once.", "whole", low=1, high=64),
    Option("timeout", "How long an answer is waited for, e.g. `10 seconds`.", "duration", low=1, high=300),
    Option("account", "The vendor's account that `per_second` holds for, if others here share it (default: the name)."),
)


class Problem(str):
    """What is wrong with one option, as a sentence; `option` is the option's name."""

    __slots__ = ("option",)

    option: str

    def __new__(cls, option: str, text: str) -> Problem:
        """Make the sentence."""
        made = super().__new__(cls, text)
        made.option = option
        return made


def place_of(problem: str) -> tuple[str, ...]:
    """The end of the path of what a problem is about: the option, or nothing where it is the section as a whole."""
    return (problem.option,) if isinstance(problem, Problem) else ()


def check_options(declared: tuple[Option, ...], options: Mapping[str, Any], resolved: bool) -> list[str]:
    """Return what is wrong with a provider's options, each as a sentence without any secret.

    With `resolved` false (at lint time), values that are still `{{ ... }}` are only read, not filled in, and secrets that
    stand in the file are told.
    """
    names = {option.name: option for option in declared}
    problems: list[str] = [
        Problem(key, f"{key!r} is not an option; allowed: {', '.join(names)}{nearest(key, names)}")
        for key in options
        if key not in names
    ]
    for option in declared:
        value = options.get(option.name)
        if value is None or value == "":
            if option.required:
                problems.append(Problem(option.name, f"{option.name!r} is missing: {option.doc}"))
        elif not resolved and (exposed := list(_exposed(option.name, value))):
            problems += (Problem(option.name, problem) for problem in exposed)
        elif not resolved and _is_template(value):
            problems += (Problem(option.name, problem) for problem in _misread(option.name, value))
        elif option.secret and not resolved:
            problems.append(Problem(option.name, _as_variable(option.name)))
        elif problem := _problem(option, value):
            told = f"{option.name!r} {problem}" if option.secret else f"{option.name!r}: {problem}"
            problems.append(Problem(option.name, told))
    return problems


def read_options(declared: tuple[Option, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return every declared option with its value (as its type) or its default; the options must have been checked."""
    return {option.name: _value(option, options.get(option.name)) for option in declared}


def stated(declared: tuple[Option, ...], options: Mapping[str, Any], name: str) -> Any:
    """An option's value at lint time, its default included; None where it is still `{{ ... }}` or wrong."""
    option = next(option for option in declared if option.name == name)
    value = options.get(name)
    if _is_template(value):
        return None
    try:
        return _value(option, value)
    except (ValueError, TypeError):
        return None


def options_table(declared: tuple[Option, ...]) -> str:
    """The options as a table in Markdown, for the generated pages."""
    rows = ["| option | | default | meaning |", "|---|---|---|---|"]
    for option in declared:
        tags = ", ".join(word for word, holds in (("required", option.required), ("secret", option.secret)) if holds)
        shown = str(option.default).lower() if isinstance(option.default, bool) else str(option.default)
        default = "" if option.default in (None, {}) else f"`{shown}`"
        rows.append(f"| `{option.name}` | {tags} | {default} | {option.doc} |")
    return "\n".join(rows)


def options_example(name: str, kind: str, example: Mapping[str, Any]) -> str:
    """A section of the settings file as YAML, for the generated pages."""
    lines = [f"{name}:", f"  type: {kind}"]
    lines += [f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in example.items()]
    return "\n".join(["```yaml", *lines, "```"])


def _exposed(name: str, value: Any) -> Iterator[str]:
    """What of a mapping is a secret by its name or its form, and stands in the file: its keys are declared nowhere."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            is_secret = _SECRET_NAME.search(str(key)) and not _NO_SECRET_NAME.search(str(key))
            is_plain = isinstance(item, str | int) and not isinstance(item, bool) and not _is_template(item)
            if is_secret and is_plain and str(item) not in ("", *_NO_SECRETS):
                yield _as_variable(f"{name}.{key}")
            else:
                yield from _exposed(f"{name}.{key}", item)
                if isinstance(item, str) and not _is_template(item) and _PASSWORD_IN_ADDRESS.match(item):
                    yield f"'{name}.{key}' holds a password, which does not belong in a file"


def _misread(name: str, value: Any) -> Iterator[str]:
    """Why `{{ ... }}` in a value can never be filled in; what the environment holds is not asked."""
    from jinja2 import Environment, TemplateSyntaxError  # noqa: PLC0415  # `dbt-activate --help` has to be quick
    from jinja2.meta import find_undeclared_variables  # noqa: PLC0415

    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _misread(f"{name}.{key}", item)
    elif _is_template(value):
        example = "write \"{{ env_var('NAME') }}\""
        environment = Environment(autoescape=True)
        environment.filters.update(dict.fromkeys(_FILTERS, str))
        try:
            used = find_undeclared_variables(environment.parse(value))
        except TemplateSyntaxError:  # its words could quote what stands there
            yield f"{name!r} cannot be read as a template; {example}"
            return
        for word in sorted(used.difference(_FUNCTIONS, environment.globals)):
            yield f"{name!r} uses {word!r}, which is not known; {example}{nearest(word, _FUNCTIONS)}"


def _as_variable(name: str) -> str:
    variable = re.sub("[^A-Z0-9]+", "_", name.upper())
    return (
        f"{name!r} is a secret and does not belong in a file; "
        f"write \"{{{{ env_var('{variable}') }}}}\" and set that environment variable"
    )


def _is_template(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_is_template(item) for item in value.values())
    return isinstance(value, str) and "{{" in value


def _value(option: Option, value: Any) -> Any:
    if value is None or value == "":
        return option.default
    if option.kind == "duration":
        return value if isinstance(value, int | float) else parse_duration(value)
    if option.kind == "whole":
        return int(value)
    if option.kind == "number":
        return float(value)
    if option.kind == "flag":
        if str(value).lower() not in ("true", "false"):
            raise ValueError(f"{value!r} is not allowed; write true or false")
        return str(value).lower() == "true"
    return {str(key): item for key, item in value.items()} if option.kind == "mapping" else str(value)


def _problem(option: Option, value: Any) -> str | None:
    if isinstance(value, Mapping | list) != (option.kind == "mapping") or isinstance(value, list):
        return "write names and values" if option.kind == "mapping" else "write one value"
    if option.choices and value not in option.choices:
        return f"{value!r} is not allowed; write one of: {', '.join(option.choices)}{nearest(value, option.choices)}"
    try:
        read = _value(option, value)
    except (ValueError, TypeError) as error:
        return str(error) if option.kind in ("duration", "flag") else f"{value!r} is not a {option.kind} number"
    if option.kind in ("whole", "number", "duration") and _outside(option, read):
        return f"{value!r} is out of bounds; write from {option.low:g} to {option.high:g}"
    return option.check(read) if option.check else None


def _outside(option: Option, value: float) -> bool:
    too_low = option.low is not None and not value >= option.low
    return too_low or (option.high is not None and not value <= option.high)
