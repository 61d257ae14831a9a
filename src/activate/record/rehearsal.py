"""One person's message as if it were queued now, for previews: nothing is written to state."""

from __future__ import annotations

import datetime as dt
import hashlib

from sqlglot import exp

from activate.campaign import Campaign
from activate.message import Kind
from activate.project import Model, Project, Relation
from activate.record.wave import column_of, text_of
from activate.warehouses.base import Warehouse, literal


def rehearsed_work(campaign: Campaign, user_id: str, step: int, kind: Kind, at: dt.datetime) -> exp.Select:
    """A query of one row with the columns of the work list."""
    day = dt.timedelta(days=1)
    values: dict[str, exp.Expr] = {
        "place": literal(1), "message_id": literal("preview"), "entry_id": literal("preview"),
        "campaign": literal(campaign.campaign), "step": literal(step), "variant": _text(kind.variant),
        "user_id": literal(user_id), "channel": literal(kind.channel), "class": literal(campaign.class_),
        "tags": literal("[]"), "expires_at": literal(at + day), "send_by": exp.cast(exp.null(), "TIMESTAMP"),
        "template": literal(kind.template), "queued_at": literal(at), "attempt": literal(0),
        "doubted": literal(0),
    }  # fmt: skip
    return exp.select(*(value.as_(name) for name, value in values.items()))


def rehearsed_context(warehouse: Warehouse, project: Project, campaign: Campaign, user_id: str) -> exp.Select:
    """A query of (place, context): of the person's latest entry, else of their latest row in the campaign's model."""
    entry = _latest_entry(warehouse, project, campaign, user_id)
    if entry is not None:
        return entry.select(literal(1).as_("place"), "context")
    model = project.models.get(campaign.enter.model)
    if model is None or model.key is None or campaign.enter.on == "exit":
        return exp.select(literal(1).as_("place"), literal("{}").as_("context"))
    return _latest_row(warehouse, model, user_id)


def own_variant(warehouse: Warehouse, project: Project, campaign: Campaign, user_id: str) -> str | None:
    """The variant of the person's latest entry, else the one that the hash gives them (docs/rules.md, section 3)."""
    if not campaign.variants:
        return None
    entry = _latest_entry(warehouse, project, campaign, user_id)
    if entry is not None:
        found = warehouse.scalar(entry.select("variant"))
        if any(arm.name == found for arm in campaign.variants):
            return str(found)
    hashed = hashlib.md5(f"{campaign.campaign}:variant|{user_id}".encode(), usedforsecurity=False).hexdigest()
    place = int(hashed, 16)
    total, reached = sum(arm.weight for arm in campaign.variants), 0
    for arm in campaign.variants:
        reached += arm.weight
        if place < (reached << 128) // total:
            return arm.name
    raise AssertionError("the arms cover every hash")


def _latest_entry(warehouse: Warehouse, project: Project, campaign: Campaign, user_id: str) -> exp.Select | None:
    """The person's latest entry in a campaign, as a query without columns; None if there is none."""
    entries = Relation(project.policy.state.schema_, "entries")
    if not warehouse.columns([entries]):
        return None
    mine = exp.and_(exp.column("campaign").eq(literal(campaign.campaign)), exp.column("user_id").eq(literal(user_id)))
    query = exp.Select().from_(entries.table()).where(mine)
    query = query.order_by(exp.column("recorded_at").desc(), exp.column("entered_at").desc()).limit(1)
    return query if warehouse.query(query.select("entry_id")).num_rows else None


def _latest_row(warehouse: Warehouse, model: Model, user_id: str) -> exp.Select:
    assert model.key is not None
    row = warehouse.json_object({name: column_of(model, name) for name in model.columns})
    query = exp.select(literal(1).as_("place"), row.as_("context")).from_(model.relation.table("t"))
    query = query.where(text_of(warehouse, model, model.key).eq(literal(user_id)))
    if model.time is not None:
        query = query.order_by(column_of(model, model.time).desc())
    return query.limit(1)


def _text(value: str | None) -> exp.Expr:
    return exp.cast(exp.null() if value is None else literal(value), "TEXT")
