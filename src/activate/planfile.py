"""A plan as a file: what was planned, by whom it can be applied, and what has changed since."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from activate.audience_plan import AudiencePlan
from activate.decision import Tick
from activate.errors import PlanChangedError, SettingsError
from activate.project import Project
from activate.words import parse_instant

FORMAT = 1
_AUDIENCE_FIGURES = ("added", "updated", "removed", "suppressed")
Figures = Mapping[str, int]


def figures(tick: Tick | None, plans: Iterable[AudiencePlan]) -> dict[str, int]:
    """Every number that a plan promises: `campaign NAME send`, `audience NAME removed` and so on.

    What is withheld counts as such, so that a guard that opens or closes in between is a change.
    """
    found: dict[str, int] = {}
    for count in tick.counts if tick is not None else ():
        key = f"campaign {count.campaign} {count.outcome}"
        found[key] = found.get(key, 0) + count.people
    for plan in plans:
        name = f"audience {plan.audience}"
        for kind in _AUDIENCE_FIGURES:
            people = getattr(plan.figures, kind)
            if people and not plan.is_withheld(kind):
                found[f"{name} {kind}"] = people
        for part in plan.withheld:
            found[f"{name} {part.kind}, withheld"] = part.people
    return found


def write(
    path: Path, project: Project, target: str, now: dt.datetime, made_at: dt.datetime, tick: Tick | None,
    plans: Iterable[AudiencePlan],
) -> None:  # fmt: skip
    """Write a plan that `read` understands. Raises SettingsError when the file cannot be written."""
    body: dict[str, Any] = {
        "format": FORMAT, "project": project.name, "target": target, "schema": project.policy.state.schema_,
        "rules_version": project.version, "now": f"{now.isoformat()}Z", "made_at": f"{made_at.isoformat()}Z",
        "figures": figures(tick, plans),
    }  # fmt: skip
    body["checksum"] = _checksum(body)
    try:
        path.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", "utf-8")
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}") from None


def read(path: Path, project: Project, target: str, made_since: dt.datetime) -> dict[str, Any]:
    """Read a plan and hold it against the project. Its `now` comes back as a naive UTC datetime.

    Raises SettingsError when it is no plan, PlanChangedError when it was edited, is for other rules or another place, or
    was made before `made_since`.
    """
    try:
        body = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        body = None
    if not isinstance(body, dict) or body.get("format") != FORMAT or not isinstance(body.get("figures"), dict):
        raise SettingsError(f"{path} is not a plan; `dbt-activate plan --out {path}` makes one")
    told = []
    if body.pop("checksum", None) != _checksum(body):
        told.append("the plan's file was edited after it was made")
    here = {"project": project.name, "target": target, "schema": project.policy.state.schema_}
    told += [
        f"it was made for {key} {body.get(key)!r}, this is {value!r}"
        for key, value in here.items()
        if body.get(key) != value
    ]
    if body.get("rules_version") != project.version:
        told.append(f"the rules have changed since (version {body.get('rules_version')}, now {project.version})")
    try:
        made_at, now = parse_instant(body.get("made_at")), parse_instant(body.get("now"))
    except ValueError:
        raise SettingsError(f"{path} is not a plan; `dbt-activate plan --out {path}` makes one") from None
    if made_at < made_since:
        told.append(f"it is too old: made at {made_at:%Y-%m-%d %H:%M} UTC (--max-age)")
    _refuse(told)
    return {**body, "now": now}


def compare(planned: Mapping[str, int], found: Mapping[str, int], prefix: str, tolerance: float) -> None:
    """Hold the figures that begin with `prefix` against each other. Raises PlanChangedError naming all that differ by
    more than the tolerance (a share of what was planned)."""
    told = []
    for key in sorted({*planned, *found}):
        before, after = planned.get(key, 0), found.get(key, 0)
        if key.startswith(prefix) and abs(after - before) > tolerance * before + 1e-9:
            told.append(f"{key}: planned {before:,}, now {after:,}")
    _refuse(told)


def _refuse(told: list[str]) -> None:
    if told:
        raise PlanChangedError(
            "\n".join(["the plan does not hold any more; nothing was done:", *(f"  {line}" for line in told)])
        )


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]
