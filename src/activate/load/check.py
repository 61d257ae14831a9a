"""What is checked across the files, in order. Every question is one function; docs/lint.md is made from this list."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from activate.errors import Mistake
from activate.expression import FUNCTIONS
from activate.load.checks.audiences import audience_columns, audiences, destinations
from activate.load.checks.campaigns import experiments
from activate.load.checks.caps import caps
from activate.load.checks.channels import channels, providers, sources
from activate.load.checks.columns import contract_columns, expressions, match_properties, policy_columns
from activate.load.checks.fitness import fitness
from activate.load.checks.models import contracts, contradictions, load_times, models_exist
from activate.load.checks.scene import Scene
from activate.load.checks.templates import templates
from activate.load.checks.timing import campaign_life, expiries, windows

Check = Callable[[Scene], Iterator[Mistake]]

CHECKS: tuple[Check, ...] = (
    models_exist,
    contracts,
    load_times,
    contradictions,
    policy_columns,
    contract_columns,
    expressions,
    match_properties,
    channels,
    providers,
    sources,
    templates,
    fitness,
    campaign_life,
    expiries,
    windows,
    caps,
    experiments,
    destinations,
    audiences,
    audience_columns,
)

# The checks whose answer depends on the columns, asked again when the warehouse has told them.
COLUMN_CHECKS: tuple[Check, ...] = (
    policy_columns,
    contract_columns,
    expressions,
    match_properties,
    templates,
    audience_columns,
)


def check(scene: Scene, checks: tuple[Check, ...] = CHECKS) -> list[Mistake]:
    """All mistakes that the checks find, each once, by file and line."""
    return sorted({mistake for question in checks for mistake in question(scene)})


def lint_page() -> str:
    """docs/lint.md, made from the checks' own words."""
    rows = [f"| `{question.__name__}` | {_first_line(question)} |" for question in CHECKS]
    functions = ", ".join(f"`{name}`" for name in FUNCTIONS)
    return "\n".join([_HEAD, *rows, "", _TAIL.replace("{functions}", functions)])


def _first_line(question: Check) -> str:
    return (question.__doc__ or "").strip().splitlines()[0]


_HEAD = """\
# What lint checks

<!-- Made by activate.load.check.lint_page; do not edit. -->

`dbt-activate lint` reads every file of `rules/`, dbt's `target/manifest.json` and, where it can connect, the columns of
the models that the rules name. It tells all mistakes at once, each with file and line, what is allowed and the nearest
match. An *error* keeps everything from running until it is mended; a *warning* does not.

Every command that decides or delivers asks the same questions before it does anything.

## In each file

- It is UTF-8, YAML that can be read, and a mapping; no key appears twice; no tag, no second document; at most 1 MB.
- Keys are known, values have their type and are among those allowed. The JSON Schemas that `dbt-activate schema` prints
  say the same to an editor.
- Words stay as they are written: `on` is a key, `21:00` a time of day, `2026-01-01` a date; only `true`, `false`,
  `null` and plain numbers are something else than text.

## Across the files

| check | what must hold |
|---|---|"""

_TAIL = """\
## What is known of a text

Before there is a person, a template has its fixed text: values are empty, a condition has the shortest of its branches,
a loop none or one of its rounds, and a branch that ends in `abort` does not count. Where that text alone does not fit
the channel's provider (characters, SMS segments, a part that is missing), it is an error at the block's line; what
depends on the person is looked at when the message is made. What should be otherwise but can be sent, such as a
marketing SMS that does not say how to opt out, is a warning. docs/providers.md has each provider's limits.

## What is known of columns

Where the warehouse has been asked, or the model's dbt contract is enforced, a column that is missing is an error. Where
dbt's YAML files merely declare columns, they may declare only some, so a column that is not among them is a warning.
Where nothing is declared, columns are not looked at until the warehouse is asked.

## Expressions

A `where:` is one boolean expression over the row of one model, in the warehouse's own SQL: comparisons, `and`, `or`,
`not`, `in (...)`, `between`, `like`, `is null`, arithmetic, `case`, casts to plain types, JSON access by `->` and
`->>`, and these functions: {functions}.

Everything else is refused by name: sub-statements, comments, parameters, aggregates, window functions, columns of other
tables, and whatever reads the clock, randomness, files or settings.

## Requests

The files of `rules/requests` ([requests.md](requests.md)) are read too, and each is held against the warehouse as
`dbt-activate request` does: events, properties, fields and segments that it does not have are errors, values that nobody
has are warnings. Nothing is counted or written. A mistake in a request fails `lint`, but keeps no message from being
sent. An event that was never seen is a warning once the request's model was made with `--allow-unseen`.

## In your editor

Save what `dbt-activate schema` prints beside the rules, and name it in a file's first line; editors with a YAML
language server then complete and check as you type:

```yaml
# yaml-language-server: $schema=../campaign.schema.json
campaign: welcome
```
"""
