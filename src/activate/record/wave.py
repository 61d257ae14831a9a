"""One wave of messages as a query: each with its person's profile as it is now, and whether it may still go out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlglot
from sqlglot import exp

from activate.address import hash_of
from activate.plan import Text
from activate.policy import Channel
from activate.project import Model, Project
from activate.suppression import in_force, spares_transactional
from activate.warehouses.base import literal
from activate.warehouses.dialect import Dialect

_WITH = ("w", "p", "x", "la", "lu")  # each uses those before it
WORK = "deliver_work"
CONTEXT = "deliver_context"
_HOLE = "\ue000"  # a private character, which no name or text of a rule has any use for
_NATIVE = ("bool", "int", "bigint", "smallint", "tinyint", "hugeint", "uint", "float", "double", "real", "date",
           "struct", "map", "varchar[", "text[")  # fmt: skip

_ASKED = f"""
, x AS (SELECT w.place, :hash AS address_hash, :registered AS registered FROM w JOIN p ON p.profile_key = w.user_id AND p.number = 1),
la AS ({in_force("s.address_hash IN (SELECT x.address_hash FROM x)")}),
lu AS ({in_force("s.address_hash IS NULL AND s.user_id IN (SELECT w.user_id FROM w)")})
"""
_LOST = """
    WHEN la.lost_at >= COALESCE(x.registered, la.lost_at) OR lu.lost_at >= COALESCE(x.registered, lu.lost_at)
      THEN 'address_suppressed'
    WHEN (NOT la.refused_at IS NULL OR NOT lu.refused_at IS NULL) AND NOT (w.class = 'transactional' AND :spares)
      THEN 'address_suppressed'
"""
_TOLD = """
LEFT JOIN x ON x.place = w.place
LEFT JOIN la ON la.channel = w.channel AND la.address_hash = x.address_hash
LEFT JOIN lu ON lu.channel = w.channel AND lu.user_id = w.user_id
"""
_WAVE = """
WITH w AS (SELECT * FROM deliver_work WHERE place > :after AND place <= :last){asked}
SELECT w.place, w.message_id, w.campaign, w.step, w.variant, w.user_id, w.channel, w.class, w.tags, w.template,
  w.attempt, w.doubted, w.expires_at, p.time_zone, :context AS context,
  :address AS address,
  CASE WHEN w.expires_at <= :at THEN 'expired'
    WHEN w.send_by <= :at THEN 'window_closed'
    WHEN p.profile_key IS NULL THEN 'no_profile' {duplicate}
    WHEN NOT :reachable THEN 'unreachable'
    WHEN NOT :consented THEN 'consent_withdrawn' {lost} END AS verdict
FROM w
LEFT JOIN p ON {joined}
{told}
LEFT JOIN deliver_context AS c ON c.place = w.place AND c.place > :after AND c.place <= :last
ORDER BY w.place
"""

_CHECKED = {"asked": _ASKED, "lost": _LOST, "told": _TOLD}
_COUNTED_PIECES = {
    "duplicate": "WHEN p.found > 1 THEN 'duplicate_profile'", "joined": "p.profile_key = w.user_id AND p.number = 1",
}  # fmt: skip
_PLAIN_PIECES = {"duplicate": "", "joined": "p.place = w.place"}

_COUNTED = """
SELECT COUNT(*) OVER (PARTITION BY :key) AS found, ROW_NUMBER() OVER (PARTITION BY :key ORDER BY :key) AS number
"""


def wave_query(
    project: Project, dialect: Dialect, columns: Iterable[str], context: bool, suppressions: bool = True,
    counted: bool = True,
) -> Text:  # fmt: skip
    """Return the query of the messages at places (:after, :last] at the instant :at, in order, printed once for all.

    `columns` are the profile's that templates use; they come as `profile.NAME`. `verdict` is null for a message that
    may go out. The context is joined only with `context`, and suppressed addresses are asked about only with `suppressions`:
    to hash every address is not free. To count each person's profiles is not either: unless `counted`, which
    `suppressions` need, a person with several profiles has several rows, and nothing else tells.
    """
    channels = project.policy.channels
    parts = {
        "context": exp.column("context", table="c") if context else exp.cast(exp.null(), "TEXT"),
        "reachable": _by_channel(channels, "has", exp.false()),
        "consented": _by_channel(channels, "ok", exp.false()),
        "address": _by_channel(channels, "address", exp.cast(exp.null(), "TEXT")),
        "hash": _by_channel(channels, "hash", exp.cast(exp.null(), "TEXT")),
        "registered": _by_channel(channels, "registered", exp.cast(exp.null(), "TIMESTAMP")),
        "spares": exp.column("channel", table="w").isin(*filter(spares_transactional, channels))
        if any(map(spares_transactional, channels))
        else exp.false(),
        **{name: exp.Var(this=f"{_HOLE}{name}{_HOLE}") for name in ("after", "last", "at")},
    }
    pieces_of = (_CHECKED if suppressions else dict.fromkeys(_CHECKED, "")) | (
        _COUNTED_PIECES if counted else _PLAIN_PIECES
    )
    query = replace(sqlglot.parse_one(_WAVE.format(**pieces_of), read="duckdb"), parts)
    assert isinstance(query, exp.Select)
    for table in query.find_all(exp.Table):
        if table.db == "state":
            table.set("db", exp.to_identifier(project.policy.state.schema_, quoted=True))
    if not context:
        query.set("joins", [join for join in query.args["joins"] if join.this.name != CONTEXT])
    for column in columns:
        query.select(exp.column(exp.to_identifier(_named(column), quoted=True), table="p"), copy=False)
    query.with_("p", _profiles(project, dialect, columns, suppressions, counted), copy=False)
    found = query.args["with_"]
    found.set("expressions", sorted(found.expressions, key=lambda each: _WITH.index(each.alias)))
    pieces = dialect.sql(query).split(_HOLE)
    return Text(tuple(pieces[::2]), tuple(pieces[1::2]))


def _profiles(
    project: Project, dialect: Dialect, columns: Iterable[str], suppressions: bool, counted: bool
) -> exp.Select:
    """The profiles of the people in `w`, with address (hashed, too, with `suppressions`), consent and the columns asked for.

    One row for each profile with `counted`, else one for each message and profile, with the message's place.
    """
    policy = project.policy
    model = project.models[policy.profiles.model]
    key = text_of(dialect, model, policy.profiles.key)
    zone = text_of(dialect, model, policy.profiles.time_zone) if policy.profiles.time_zone else None
    query = exp.select(key.as_("profile_key"), (zone or exp.cast(exp.null(), "TEXT")).as_("time_zone"))
    for number, (name, channel) in enumerate(policy.channels.items()):
        address = text_of(dialect, model, channel.address)
        has = exp.and_(address.is_(exp.null()).not_(), address.neq(literal("")))
        query = query.select(
            address.copy().as_(f"address_{number}"),
            has.as_(f"has_{number}"),
            _consent(dialect, model, channel).as_(f"ok_{number}"),
        )
        if suppressions:
            query = query.select(
                hash_of(name, address, dialect).as_(f"hash_{number}"),
                _registered(dialect, model, channel).as_(f"registered_{number}"),
            )
    for column in columns:
        query = query.select(readable(dialect, model, column).as_(_named(column), quoted=True))
    if not counted:
        place = exp.column("place", table="w")
        return (
            query.select(place).from_("w").join(model.relation.table("t"), on=key.eq(exp.column("user_id", table="w")))
        )
    found = replace(sqlglot.parse_one(_COUNTED, read="duckdb"), {"key": key})
    assert isinstance(found, exp.Select)
    members = exp.In(this=key.copy(), query=exp.Subquery(this=exp.select("user_id").from_("w")))
    return query.select(*found.expressions).from_(model.relation.table("t")).where(members)


def readable(dialect: Dialect, model: Model, column: str) -> exp.Expr:
    """A user's column in a form that reads the same from every warehouse: exact numbers and documents as text."""
    kind = type_of(model, column)
    reference = column_of(model, column)
    if kind.startswith(("timestamp", "datetime")):
        return dialect.instant(reference, kind)
    return reference if kind.startswith(_NATIVE) or kind.endswith("[]") else dialect.text(reference, kind)


def type_of(model: Model, column: str) -> str:
    """The column's type name in lower case; `text` if it is not known."""
    return model.columns.get(_spelled(model, column), "text").lower()


def replace(root: exp.Expr, parts: Mapping[str, exp.Expr]) -> exp.Expr:
    """Replace `:name` placeholders by copies of trees, in place."""
    for node in list(root.find_all(exp.Placeholder)):
        node.replace(parts[node.name].copy())
    return root


def _named(column: str) -> str:
    return f"profile.{column}"


def _by_channel(channels: Mapping[str, Channel], prefix: str, default: exp.Expr) -> exp.Expr:
    case = exp.Case(this=exp.column("channel", table="w"), default=default)
    for number, name in enumerate(channels):
        case.append("ifs", exp.If(this=literal(name), true=exp.column(f"{prefix}_{number}", table="p")))
    return case


def _consent(dialect: Dialect, model: Model, channel: Channel) -> exp.Expr:
    if channel.consent is None:
        return exp.true()
    if type_of(model, channel.consent).startswith("bool"):
        return exp.func("COALESCE", column_of(model, channel.consent), exp.false())
    allowed = [literal(value) for value in channel.consent_values]
    return exp.func("COALESCE", exp.In(this=text_of(dialect, model, channel.consent), expressions=allowed), exp.false())


def _registered(dialect: Dialect, model: Model, channel: Channel) -> exp.Expr:
    if channel.registered is None:
        return exp.cast(exp.null(), "TIMESTAMP")
    return dialect.instant(column_of(model, channel.registered), type_of(model, channel.registered))


def text_of(dialect: Dialect, model: Model, column: str) -> exp.Expr:
    """A user's column as TEXT."""
    return dialect.text(column_of(model, column), type_of(model, column))


def column_of(model: Model, column: str) -> exp.Expr:
    """A column of the model `t`, quoted, in its real spelling."""
    return exp.column(exp.to_identifier(_spelled(model, column), quoted=True), table="t")


def _spelled(model: Model, column: str) -> str:
    """The column's real spelling, found as the warehouse would find it."""
    if column in model.columns:
        return column
    return next((name for name in model.columns if name.lower() == column.lower()), column)
