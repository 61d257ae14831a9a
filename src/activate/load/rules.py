"""The rules directory as models: rules/activate.yml and every campaign, with all mistakes of all files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from activate.campaign import Campaign
from activate.errors import Mistake
from activate.load.parse import Document, Path_, read_yaml
from activate.load.validate import validate
from activate.policy import Policy

POLICY_FILE = "rules/activate.yml"
CAMPAIGNS = "rules/campaigns"


@dataclass(frozen=True)
class Positions:
    """Where everything in the rules stands: the policy's document and, by name, each campaign's."""

    policy: Document = field(default_factory=lambda: Document(POLICY_FILE))
    campaigns: dict[str, Document] = field(default_factory=dict)

    def document(self, campaign: str | None) -> Document:
        """The document of a campaign, or of the policy for None."""
        return self.policy if campaign is None else self.campaigns.get(campaign, Document(CAMPAIGNS))

    def mistake(
        self,
        campaign: str | None,
        path: Path_,
        message: str,
        *,
        severity: str = "error",
        part: Literal["key", "value"] = "value",
    ) -> Mistake:
        """A mistake at a path of a campaign's file, or of the policy's for None."""
        return self.document(campaign).mistake(path, message, severity=severity, part=part)


class Rules(NamedTuple):
    """What the rules directory says. `policy` is None when its file cannot be used."""

    policy: Policy | None
    campaigns: tuple[Campaign, ...]
    mistakes: tuple[Mistake, ...]
    positions: Positions


def load_rules(directory: Path) -> Rules:
    """Read `rules/` of the project at `directory`. A file with mistakes is left out and its mistakes are listed."""
    mistakes: list[Mistake] = []
    policy, positions = _load_policy(directory, mistakes)
    campaigns: dict[str, Campaign] = {}
    for file in sorted((directory / CAMPAIGNS).rglob("*.y*ml")):
        document, found = read_yaml(file, file.relative_to(directory).as_posix())
        mistakes += found
        if document is None:
            continue
        campaign, found = validate(Campaign, document)
        mistakes += found
        if campaign is None:
            continue
        if campaign.campaign in campaigns:
            first = positions.campaigns[campaign.campaign]
            where = f"{first.file}:{first.line(('campaign',))}"
            message = f"the campaign {campaign.campaign!r} is already in {where}; give this one another name"
            mistakes.append(document.mistake(("campaign",), message))
            continue
        campaigns[campaign.campaign] = campaign
        positions.campaigns[campaign.campaign] = document
    if not campaigns and not any(mistake.file.startswith(CAMPAIGNS) for mistake in mistakes):
        mistakes.append(Mistake(CAMPAIGNS, 0, "holds no campaign; nobody will be messaged", "warning"))
    return Rules(policy, tuple(campaigns.values()), tuple(mistakes), positions)


def _load_policy(directory: Path, mistakes: list[Mistake]) -> tuple[Policy | None, Positions]:
    file = directory / POLICY_FILE
    if not file.is_file():
        mistakes.append(Mistake(POLICY_FILE, 0, "is missing; `dbt-activate init` writes one"))
        return None, Positions()
    document, found = read_yaml(file, POLICY_FILE)
    mistakes += found
    if document is None:
        return None, Positions()
    policy, found = validate(Policy, document)
    mistakes += found
    return policy, Positions(document)
