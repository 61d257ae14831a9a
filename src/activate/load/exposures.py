"""dbt exposures made from the rules, so that dbt's lineage shows which campaign or audience hangs on a model."""

from __future__ import annotations

from typing import Any

import yaml

from activate.audience import Audience
from activate.campaign import Campaign
from activate.project import Model, Project

FILE = "models/activate_exposures.yml"

_HEAD = """\
# Made from rules/ by `dbt-activate exposures`; do not edit. If dbt complains of a model that is gone, make it again
# (or delete it first: nothing depends on it).
"""


def exposures_yaml(project: Project) -> str:
    """The text of `models/activate_exposures.yml`: one exposure for each campaign, then for each audience, by name.

    Models that dbt does not have are left out. The same rules give the same text.
    """
    campaigns = sorted(project.campaigns, key=lambda campaign: campaign.campaign)
    audiences = sorted(project.audiences, key=lambda audience: audience.audience)
    made = [_exposure(project, campaign) for campaign in campaigns] + [_audience(project, one) for one in audiences]
    body = {"version": 2, "exposures": made}
    return _HEAD + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=120)


def _exposure(project: Project, campaign: Campaign) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": f"campaign_{campaign.campaign}",
        "label": f"Campaign {campaign.campaign}",
        "type": "application",
        "owner": {"name": campaign.owner or project.name},
        "depends_on": [reference(project, model) for model in _models(project, campaign)],
    }
    if campaign.description:
        found["description"] = campaign.description
    steps = [{"template": step.template, "channels": list(step.channels)} for step in campaign.steps]
    meta = {"campaign": campaign.campaign, "class": campaign.class_, "steps": steps}
    found["config"] = {"tags": ["activate", *campaign.tags], "meta": {"activate": meta}}
    return found


def _audience(project: Project, audience: Audience) -> dict[str, Any]:
    names = dict.fromkeys([audience.segment, *audience.exclude, project.policy.profiles.model])
    found: dict[str, Any] = {
        "name": f"audience_{audience.audience}",
        "label": f"Audience {audience.audience}",
        "type": "application",
        "owner": {"name": audience.owner or project.name},
        "depends_on": [reference(project, project.models[name]) for name in names if name in project.models],
    }
    if audience.description:
        found["description"] = audience.description
    meta = {"audience": audience.audience, "destination": audience.destination, "mode": audience.mode}
    found["config"] = {"tags": ["activate"], "meta": {"activate": meta}}
    return found


def _models(project: Project, campaign: Campaign) -> list[Model]:
    """What the campaign reads: who enters, its segments, the profiles, and the events where it asks for some."""
    names = [campaign.enter.model, *campaign.audience.in_, *campaign.audience.not_in, project.policy.profiles.model]
    if campaign.exceptions or campaign.goal is not None:
        names.append(project.policy.events.model)
    return [project.models[name] for name in dict.fromkeys(names) if name in project.models]


def reference(project: Project, model: Model) -> str:
    """How a dbt model names another: `ref('NAME')`, or `source(...)`."""
    # unique_id: model.PACKAGE.NAME, model.PACKAGE.NAME.vN or source.PACKAGE.SOURCE.TABLE
    kind, package, name, *rest = model.unique_id.split(".")
    if kind == "source":
        return f"source('{name}', '{rest[0]}')"
    version = f", v={rest[0].removeprefix('v')}" if rest else ""
    return f"ref('{name}'{version})" if package == project.name else f"ref('{package}', '{name}'{version})"
