"""What a tick works on: the rules and the dbt models they name, loaded and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sqlglot import exp

from activate.audience import Audience
from activate.audience_plan import Faults
from activate.campaign import Campaign
from activate.policy import Policy


@dataclass(frozen=True)
class Relation:
    """A table or view in the warehouse. `database` is None where the connection's own is meant."""

    schema: str
    name: str
    database: str | None = None

    def table(self, alias: str | None = None) -> exp.Table:
        """The relation as a quoted sqlglot table."""
        table = exp.table_(self.name, db=self.schema, catalog=self.database, quoted=True)
        if alias is not None:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
        return table

    def __str__(self) -> str:
        return ".".join(part for part in (self.database, self.schema, self.name) if part)


@dataclass(frozen=True)
class Model:
    """A dbt model (or a source) with its contract from `config.meta.activate`.

    `columns` maps column names to the warehouse's type names in lower case; it is empty until the warehouse has
    been asked. `kind` is None for a model without a contract, such as the profiles.
    """

    name: str
    relation: Relation
    kind: Literal["segment", "trigger"] | None = None
    key: str | None = None
    id: str | None = None
    time: str | None = None
    loaded: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    unique_id: str = ""
    file: str = ""


@dataclass(frozen=True)
class Project:
    """The rules of one project and the dbt models by name.

    `secrets` are asked before the environment when a provider's options name a variable. `faults` are what dbt's last runs
    said of the audiences' segments, by model.
    """

    directory: Path
    name: str
    policy: Policy
    campaigns: tuple[Campaign, ...]
    models: dict[str, Model]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    audiences: tuple[Audience, ...] = ()
    faults: Mapping[str, Faults] = field(default_factory=dict, repr=False, compare=False)

    @property
    def templates(self) -> Path:
        """The folder of the message templates."""
        return self.directory / "rules" / "templates"

    @property
    def version(self) -> str:
        """Hash of the whole rule set: the policy (without providers, destinations and ingest), every campaign's and audience's version."""
        parts = [self.policy.model_dump_json(by_alias=True, exclude={"providers", "destinations", "ingest"})]
        parts += sorted(f"{campaign.campaign}={campaign.version}" for campaign in self.campaigns)
        parts += sorted(f"audience {audience.audience}={audience.version}" for audience in self.audiences)
        return hashlib.md5("\n".join(parts).encode(), usedforsecurity=False).hexdigest()[:12]
