"""The rules directory as models: rules/activate.yml, every campaign and audience, with all mistakes of all files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from activate.audience import Audience
from activate.campaign import Campaign
from activate.errors import Mistake
from activate.load.parse import Document, Path_, read_yaml
from activate.load.validate import validate_rest
from activate.policy import Policy

POLICY_FILE = "rules/activate.yml"
CAMPAIGNS = "rules/campaigns"
AUDIENCES = "rules/audiences"
K = TypeVar("K", Campaign, Audience)


@dataclass(frozen=True)
class Positions:
    """Where everything in the rules stands: the policy's document and, by name, each campaign's."""

    policy: Document = field(default_factory=lambda: Document(POLICY_FILE))
    campaigns: dict[str, Document] = field(default_factory=dict)
    audiences: dict[str, Document] = field(default_factory=dict)

    def document(self, owner: Campaign | Audience | None) -> Document:
        """The document of a campaign or an audience, or of the policy for None."""
        if isinstance(owner, Audience):
            return self.audiences.get(owner.audience, Document(AUDIENCES))
        return self.policy if owner is None else self.campaigns.get(owner.campaign, Document(CAMPAIGNS))

    def mistake(
        self,
        owner: Campaign | Audience | None,
        path: Path_,
        message: str,
        *,
        severity: str = "error",
        part: Literal["key", "value"] = "value",
    ) -> Mistake:
        """A mistake at a path of a campaign's or an audience's file, or of the policy's for None."""
        return self.document(owner).mistake(path, message, severity=severity, part=part)


class Rules(NamedTuple):
    """What the rules directory says. `policy` is None when its file has mistakes; `draft` is then what is right of it,
    and campaigns and audiences may be without what is wrong in them: enough to check the rest, not to run."""

    policy: Policy | None
    campaigns: tuple[Campaign, ...]
    mistakes: tuple[Mistake, ...]
    positions: Positions
    audiences: tuple[Audience, ...] = ()
    draft: Policy | None = None


def load_rules(directory: Path) -> Rules:
    """Read `rules/` of the project at `directory`. Mistakes are listed; what has none is there for the other checks."""
    mistakes: list[Mistake] = []
    draft, positions = _load_policy(directory, mistakes)
    policy = None if mistakes else draft
    campaigns = _read_all(directory, CAMPAIGNS, Campaign, positions.campaigns, mistakes)
    audiences = _read_all(directory, AUDIENCES, Audience, positions.audiences, mistakes)
    if not campaigns and not audiences and not any(mistake.file.startswith(CAMPAIGNS) for mistake in mistakes):
        mistakes.append(Mistake(CAMPAIGNS, 0, "holds no campaign; nobody will be messaged", "warning"))
    return Rules(policy, campaigns, tuple(mistakes), positions, audiences, draft)


def _read_all(
    directory: Path, folder: str, kind: type[K], places: dict[str, Document], mistakes: list[Mistake]
) -> tuple[K, ...]:
    """Every file of a folder as a campaign or an audience; their documents are put into `places` by name."""
    word = kind.__name__.lower()
    made: dict[str, K] = {}
    for file in sorted((directory / folder).rglob("*.y*ml")):
        document, found = read_yaml(file, file.relative_to(directory).as_posix())
        mistakes += found
        if document is None:
            continue
        rule, found = validate_rest(kind, document)
        mistakes += found
        if rule is None:
            continue
        name = getattr(rule, word)
        if name in made:
            where = f"{places[name].file}:{places[name].line((word,))}"
            message = f"the {word} {name!r} is already in {where}; give this one another name"
            mistakes.append(document.mistake((word,), message))
            continue
        made[name] = rule
        places[name] = document
    return tuple(made.values())


def _load_policy(directory: Path, mistakes: list[Mistake]) -> tuple[Policy | None, Positions]:
    file = directory / POLICY_FILE
    if not file.is_file():
        mistakes.append(Mistake(POLICY_FILE, 0, "is missing; `dbt-activate init` writes one"))
        return None, Positions()
    document, found = read_yaml(file, POLICY_FILE)
    mistakes += found
    if document is None:
        return None, Positions()
    policy, found = validate_rest(Policy, document)
    mistakes += found
    return policy, Positions(document)
