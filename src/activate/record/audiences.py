"""What is known of one audience at its destination, and the rows that say what a sync did.

Everything stays in the warehouse: the change set is a temporary table, claims and outcomes are INSERT … SELECT from it, and
only the rows that go out are read, page by page.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlglot
from sqlglot import exp

from activate.audience import Audience
from activate.errors import WarehouseError
from activate.project import Project, Relation
from activate.record.audience_figures import WorkFigures
from activate.tables import AUDIENCE_CHANGES, AUDIENCE_MEMBERS, AUDIENCE_SYNCS
from activate.warehouses.base import Warehouse, literal

WORK, TOUCHED, REFUSALS, READ = "audience_work", "audience_touched", "audience_refusals", "audience_read"
# The phases of a sync, by the rows that they send. Removals because of an exclusion or a consent come first.
_PHASES = {
    "suppress": "w.verdict = 'remove' AND w.reason IN ('excluded', 'no_consent')",
    "remove": "w.verdict = 'remove' AND NOT COALESCE(w.reason, '') IN ('excluded', 'no_consent')",
    "add": "w.verdict = 'add'",
    "update": "w.verdict = 'update'",
    "upsert": "w.verdict IN ('add', 'update')",
    "replace": "w.verdict IN ('add', 'update', 'remapped', 'unchanged')",
}
DEAD_LETTER = {
    "audience": "text", "destination": "text", "user_id": "text", "member": "text", "change": "text", "error_code": "text",
    "recorded_at": "timestamp",
}  # fmt: skip
_DEAD_LETTERS = (
    "SELECT h.member, h.user_id, h.refused_change AS change, r.error_code, r.recorded_at, r.mapping_version, :audience AS audience, "
    ":destination AS destination FROM :held AS h JOIN (SELECT c.member, MAX(c.wave) AS wave FROM state.audience_changes AS c "
    "WHERE c.audience = :audience AND c.destination = :destination AND c.status = 'rejected' GROUP BY c.member) AS l "
    "ON l.member = h.member JOIN state.audience_changes AS r ON r.audience = :audience AND r.destination = :destination "
    "AND r.member = l.member AND r.wave = l.wave AND r.status = 'rejected' WHERE NOT h.refused_change IS NULL"
)
# Members who are, or may be, at the destination because of us; not those whom it never took. A claim without an outcome
# is a doubt.
_HISTORY = (
    "SELECT DISTINCT n.member FROM (SELECT c.member, COALESCE(MAX(CASE WHEN c.status <> 'claimed' THEN c.status END), "
    "'claimed') AS status FROM state.audience_changes AS c WHERE c.audience = :audience AND c.destination = :destination "
    "AND c.change <> 'remove' GROUP BY c.member, c.wave) AS n "
    "WHERE n.status IN ('accepted', 'baselined', 'observed', 'unknown', 'claimed')"
)
_MISSING = (
    "SELECT h.member, h.user_id FROM :held AS h LEFT JOIN :seen AS s ON s.member = h.member "
    "WHERE h.is_present AND s.member IS NULL"
)
_LEFT = (
    f"SELECT s.member, COALESCE(h.user_id, s.member) AS user_id FROM :seen AS s LEFT JOIN :held AS h ON h.member = s.member "
    f"JOIN ({_HISTORY}) AS k ON k.member = s.member WHERE NOT COALESCE(h.is_present, FALSE)"
)
_FOREIGN = (
    f"SELECT COUNT(*) FROM :seen AS s LEFT JOIN :held AS h ON h.member = s.member "
    f"LEFT JOIN ({_HISTORY}) AS k ON k.member = s.member WHERE NOT COALESCE(h.is_present, FALSE) AND k.member IS NULL"
)
_APPENDED = ("audience", "destination", "member", "user_id", "change", "row_hash", "mapping_version", "status", "error_code",
             "error", "wave", "run_id", "recorded_at")  # fmt: skip
_COMPACT_FROM, _COMPACT_SHARE = 10_000, 0.1


@dataclass(frozen=True)
class Position:
    """Where an audience's state stands: see `activate.tables.AUDIENCE_SYNCS`.

    `syncs` counts the earlier syncs, `mapping_version` is the last one's (None before the first), `last_wave` the last
    wave of any change, and `copied` the members of the copy.
    """

    generation: int = 0
    first_wave: int = 1
    last_wave: int = 0
    copied: int = 0
    syncs: int = 0
    mapping_version: str | None = None

    @property
    def has_later(self) -> bool:
        """Whether something changed since the copy was made."""
        return self.last_wave >= self.first_wave


class AudienceBook:
    """One audience's rows in the state tables, over one connection."""

    def __init__(
        self, warehouse: Warehouse, project: Project, audience: Audience, run_id: str, now: dt.datetime
    ) -> None:
        self.warehouse = warehouse
        self.figures = WorkFigures(warehouse)
        self._project = project
        self._schema = project.policy.state.schema_
        self._audience = audience
        self._run_id = run_id
        self._now = now
        self._max_attempts = project.policy.delivery.max_attempts
        self._seq = exp.column(warehouse.row_number or "seq", table="w")
        self._parts: dict[str, exp.Expr] = {
            "seq": self._seq,
            "audience": literal(audience.audience),
            "destination": literal(audience.destination),
            "mapping": literal(audience.mapping_version),
            "run_id": literal(run_id),
            "now": literal(now),
        }

    # -- where it stands ------------------------------------------------------------------------------------------

    def position(self) -> Position:
        """Read where the state stands."""
        syncs = self._rows(
            "SELECT COUNT(CASE WHEN s.status <> 'compacted' THEN 1 END) AS syncs, MAX(s.generation) AS generation, MAX(s.first_wave) AS first_wave "
            "FROM state.audience_syncs AS s WHERE s.audience = :audience AND s.destination = :destination"
        )[0]
        generation, first_wave = int(syncs["generation"] or 0), int(syncs["first_wave"] or 1)
        last = self._rows(
            "SELECT s.mapping_version FROM state.audience_syncs AS s WHERE s.audience = :audience "
            "AND s.destination = :destination AND s.status <> 'compacted' ORDER BY s.recorded_at DESC, s.first_wave DESC, LENGTH(s.run_id) DESC, "
            "s.run_id DESC LIMIT 1"
        )
        copied = self._rows(
            "SELECT MAX(s.members) AS members FROM state.audience_syncs AS s WHERE s.audience = :audience "
            "AND s.destination = :destination AND s.generation = :generation",
            generation=literal(generation),
        )[0]["members"]
        wave = self._rows(
            "SELECT MAX(c.wave) AS wave FROM state.audience_changes AS c WHERE c.audience = :audience "
            "AND c.destination = :destination AND c.wave >= :first_wave",
            first_wave=literal(first_wave),
        )[0]["wave"]
        return Position(
            generation, first_wave, first_wave - 1 if wave is None else int(wave),
            int(copied or 0), int(syncs["syncs"]), last[0]["mapping_version"] if last else None,
        )  # fmt: skip

    # -- the change set -------------------------------------------------------------------------------------------

    def make(self, name: str, table: str, statement: exp.Expr, doc: str) -> int:
        """Make one temporary table of the change set; return its number of rows."""
        self.drop(table)
        try:
            self.warehouse.execute(statement)
        except WarehouseError as error:
            raise WarehouseError(f"audience {self._audience.audience}: {name} ({doc}) failed: {error}") from None
        self.warehouse.analyze(table)
        return self.figures.count(table)

    def pages(self, phase: str, size: int, first: int | None = None) -> list[tuple[int, int]]:
        """Ranges of `seq` (first, last) with `size` rows of the phase each, the first of them with `first`."""
        rows = self._rows(
            "SELECT n.seq FROM (SELECT :seq AS seq, ROW_NUMBER() OVER (ORDER BY :seq) AS place FROM audience_work AS w "
            "WHERE :sent) AS n WHERE MOD(n.place + :rest, :size) = 0 ORDER BY n.seq",
            sent=self._sent(phase),
            size=literal(size),
            rest=literal(size - (first or size)),
        )
        ends = [int(row["seq"]) for row in rows]
        last = self._rows("SELECT MAX(:seq) AS seq FROM audience_work AS w WHERE :sent", sent=self._sent(phase))[0][
            "seq"
        ]
        if last is not None and (not ends or ends[-1] < int(last)):
            ends.append(int(last))
        return list(zip([0, *(end + 1 for end in ends[:-1])], ends, strict=True)) if ends else []

    def rows(self, phase: str, page: tuple[int, int], columns: Mapping[str, exp.Expr]) -> pa.RecordBatch:
        """The rows of a page as one record batch: `_seq`, then `columns` (expressions over `audience_work AS w`)."""
        query = exp.select(exp.alias_(self._seq, "_seq")).from_("audience_work AS w")
        query = query.select(*(exp.alias_(part, name, quoted=True) for name, part in columns.items()))
        query = query.where(self._range(phase, page)).order_by(self._seq)
        found = self.warehouse.query(query).combine_chunks()
        batches = found.to_batches()
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=found.schema)

    # -- what is recorded -----------------------------------------------------------------------------------------

    def claim(self, phase: str, page: tuple[int, int], wave: int) -> None:
        """Record that a page is about to be sent."""
        self._append(self._claimed(phase, page, wave))

    def settle(
        self, phase: str, page: tuple[int, int], wave: int, status: str, code: str | None, error: str | None = None,
        refusals: Sequence[tuple[int, str, str, str | None]] = (), claims: tuple[str, tuple[int, int], int] | None = None,
    ) -> None:  # fmt: skip
        """Record what became of a page: `status` for all rows, but for `refusals`: (seq, status, code, error).

        `claims` (phase, page, wave) is claimed in the same statement.
        """
        if refusals:
            self._load_refusals(refusals)
        told = self._told(phase, page, wave, status, code, error, with_refusals=bool(refusals))
        self._append(exp.union(told, self._claimed(*claims), distinct=False) if claims else told)

    def _append(self, rows: exp.Query) -> None:
        self.warehouse.execute(exp.insert(rows, self._table(AUDIENCE_CHANGES.name), columns=list(_APPENDED)))

    def _claimed(self, phase: str, page: tuple[int, int], wave: int) -> exp.Query:
        return self._changes(phase, page, wave, {
            "change": exp.column("verdict", table="w"), "row_hash": literal_or_null(None), "mapping_version": literal_or_null(None),
            "status": literal("claimed"), "error_code": literal_or_null(None), "error": literal_or_null(None),
        })  # fmt: skip

    def _told(
        self, phase: str, page: tuple[int, int], wave: int, status: str, code: str | None, error: str | None,
        with_refusals: bool,
    ) -> exp.Query:  # fmt: skip
        status_of, code_of, error_of = (literal_or_null(part) for part in (status, code, error))
        if with_refusals:
            status_of, code_of, error_of = (
                exp.func("COALESCE", exp.column(name, table="x"), part)
                if name == "status"
                else exp.Case(
                    ifs=[exp.If(this=sqlglot.condition("x.seq IS NULL"), true=part)],
                    default=exp.column(name, table="x"),
                )
                for name, part in (("status", status_of), ("code", code_of), ("error", error_of))
            )
        if status == "failed" or with_refusals:
            given_up = exp.and_(
                # A removal is never given up: whoever may not be there must not be forgotten there.
                status_of.copy().eq(literal("failed")),
                sqlglot.condition(f"w.verdict <> 'remove' AND w.attempts + 1 >= {self._max_attempts}"),
            )
            status_of = exp.Case(ifs=[exp.If(this=given_up, true=literal("rejected"))], default=status_of)
        query = self._changes(phase, page, wave, {
            "change": sqlglot.parse_one("CASE WHEN w.verdict = 'unchanged' THEN 'update' ELSE w.verdict END"),
            "row_hash": sqlglot.parse_one("CASE WHEN w.verdict <> 'remove' THEN w.row_hash END"),
            "mapping_version": self._parts["mapping"], "status": status_of, "error_code": code_of, "error": error_of,
        })  # fmt: skip
        if with_refusals:
            on = exp.column("seq", table="x").eq(self._seq)
            query = query.join("audience_refusals AS x", on=on, join_type="left")
        return query

    def _changes(self, phase: str, page: tuple[int, int], wave: int, told: Mapping[str, exp.Expr]) -> exp.Select:
        """Rows of `audience_changes` for a page, in the order of `_APPENDED`."""
        columns = {
            "audience": self._parts["audience"], "destination": self._parts["destination"],
            "member": exp.column("member", table="w"), "user_id": exp.column("user_id", table="w"), **told,
            "wave": literal(wave), "run_id": self._parts["run_id"], "recorded_at": self._parts["now"],
        }  # fmt: skip
        query = exp.select(*(exp.alias_(columns[name].copy(), name) for name in _APPENDED))
        return query.from_(exp.to_table("audience_work", alias="w")).where(self._range(phase, page))

    def baseline(self, verdicts: Sequence[str], wave: int) -> None:
        """Take rows of the change set for acknowledged, though nothing was sent."""
        self._execute(
            "INSERT INTO state.audience_changes (audience, destination, member, user_id, change, row_hash, mapping_version, "
            "status, wave, run_id, recorded_at) SELECT :audience, :destination, w.member, w.user_id, "
            "CASE WHEN w.verdict = 'add' THEN 'add' ELSE 'update' END, w.row_hash, :mapping, 'baselined', :wave, :run_id, "
            "CAST(:now AS TIMESTAMP) FROM audience_work AS w WHERE :chosen",
            wave=literal(wave),
            chosen=exp.column("verdict", table="w").isin(*verdicts),
        )

    def record_invalid(self, wave: int) -> None:
        """Record the people who cannot be sent and were not recorded with that reason before."""
        self._execute(
            "INSERT INTO state.audience_changes (audience, destination, member, user_id, change, mapping_version, status, "
            "error_code, wave, run_id, recorded_at) SELECT DISTINCT :audience, :destination, w.user_id, w.user_id, 'add', "
            ":mapping, 'invalid', w.reason, :wave, :run_id, CAST(:now AS TIMESTAMP) FROM audience_work AS w LEFT JOIN "
            "(SELECT DISTINCT c.user_id, c.error_code FROM state.audience_changes AS c WHERE c.audience = :audience AND "
            "c.destination = :destination AND c.status = 'invalid') AS k ON k.user_id = w.user_id AND k.error_code = w.reason "
            "WHERE w.verdict = 'invalid' AND NOT w.user_id IS NULL AND k.user_id IS NULL",
            wave=literal(wave),
        )

    def release(self, held: exp.Query, condition: exp.Expr | None, wave: int) -> int:
        """Let dead letters be tried again; `condition` narrows down over the columns of `DEAD_LETTER`. Returns how many."""
        letters = self._tree(_DEAD_LETTERS, {"held": held.subquery()})
        chosen = exp.select("d.*").from_(letters.subquery("d"))  # type: ignore[attr-defined]  # a query
        if condition is not None:
            chosen = chosen.where(condition)
        count = int(str(self.warehouse.scalar(exp.select("COUNT(*)").from_(chosen.subquery("n")))))
        if count:
            self._execute(
                "INSERT INTO state.audience_changes (audience, destination, member, user_id, change, status, wave, run_id, "
                "recorded_at) SELECT :audience, :destination, o.member, o.user_id, o.change, 'released', :wave, :run_id, "
                "CAST(:now AS TIMESTAMP) FROM :found AS o",
                found=chosen.subquery(),
                wave=literal(wave),
            )
        return count

    def release_remapped(self, held: exp.Query, wave: int) -> int:
        """Let dead letters be tried again whose row was sent under another mapping: what was refused is not what would be sent."""
        other = sqlglot.condition("d.change <> 'remove' AND d.mapping_version <> :mapping", dialect="duckdb")
        return self.release(held, other.transform(self._filled), wave)

    def _filled(self, node: exp.Expr) -> exp.Expr:
        return self._parts[node.name].copy() if isinstance(node, exp.Placeholder) else node

    def observe(
        self, pages: Iterable[Sequence[str]], held: exp.Query, wave: int, record: bool = True
    ) -> dict[str, int]:
        """Record (if asked to) where the members that the destination holds are not those that it acknowledged.

        Returns how many are `missing` there, were `left` there though they were removed, and are `foreign`: nothing that
        this audience ever sent, and so nothing that it may remove.
        """
        self.drop(READ)
        self._make_table(READ, {"member": "TEXT"})
        for page in pages:
            self.warehouse.ingest(READ, pa.table({"member": pa.array(page, pa.string())}))
        self.warehouse.analyze(READ)
        seen = exp.select("r.member").distinct().from_(f"{READ} AS r")
        counts = {}
        for name, text in (("missing", _MISSING), ("left", _LEFT)):
            found = self._tree(text, {"held": held.subquery(), "seen": seen.subquery()})
            counts[name] = int(str(self.warehouse.scalar(exp.select("COUNT(*)").from_(found.subquery("o")))))  # type: ignore[attr-defined]  # a query
            if counts[name] and record:
                self._observed(found, "remove" if name == "missing" else "add", wave)
        foreign = self._tree(_FOREIGN, {"held": held.subquery(), "seen": seen.subquery()})
        counts["foreign"] = int(str(self.warehouse.scalar(foreign)))
        self.drop(READ)
        return counts

    def _observed(self, found: exp.Expr, change: str, wave: int) -> None:
        self._execute(
            "INSERT INTO state.audience_changes (audience, destination, member, user_id, change, status, wave, run_id, "
            "recorded_at) SELECT :audience, :destination, o.member, o.user_id, :change, 'observed', :wave, :run_id, "
            "CAST(:now AS TIMESTAMP) FROM :found AS o",
            found=found.subquery(),  # type: ignore[attr-defined]  # a query
            change=literal(change),
            wave=literal(wave),
        )

    # -- the end of a sync ----------------------------------------------------------------------------------------

    def withheld_now(self) -> list[list[Any]]:
        """What the last sync of this very instant withheld, as it was recorded; empty where there was none."""
        rows = self._rows(
            "SELECT s.counts FROM state.audience_syncs AS s WHERE s.audience = :audience AND s.destination = :destination "
            "AND s.recorded_at = CAST(:now AS TIMESTAMP) AND s.status <> 'compacted' "
            "ORDER BY LENGTH(s.run_id) DESC, s.run_id DESC LIMIT 1"
        )
        found: list[list[Any]] = json.loads(rows[0]["counts"]).get("withheld", []) if rows else []
        return found

    def finish(
        self, position: Position, status: str, counts: Mapping[str, object], error: str | None,
        mapping_version: str | None = None,
    ) -> None:  # fmt: skip
        """Append the sync's row."""
        row = {
            "audience": self._audience.audience, "destination": self._audience.destination, "status": status,
            "mapping_version": mapping_version or self._audience.mapping_version, "generation": position.generation,
            "first_wave": position.first_wave, "members": position.copied, "counts": json.dumps(counts, sort_keys=True),
            "error": error, "run_id": self._run_id, "recorded_at": self._now,
        }  # fmt: skip
        kinds = {
            "generation": pa.int64(),
            "first_wave": pa.int64(),
            "members": pa.int64(),
            "recorded_at": pa.timestamp("us"),
        }
        schema = pa.schema([(name, kinds.get(name, pa.string())) for name in row])
        self.warehouse.ingest(Relation(self._schema, AUDIENCE_SYNCS.name), pa.Table.from_pylist([row], schema=schema))

    def compact(self, position: Position, held: exp.Query) -> Position:
        """Sum the changes up in a new copy, if they are many; return where the state stands then.

        `held` reads the members as they stand; the temporary table that it needs has been made. One transaction: a reader
        sees the old copy or the new one.
        """
        later = self._rows(
            "SELECT COUNT(*) AS changes FROM state.audience_changes AS c WHERE c.audience = :audience AND "
            "c.destination = :destination AND c.wave >= :first_wave",
            first_wave=literal(position.first_wave),
        )[0]["changes"]
        if int(later) < max(_COMPACT_FROM, int(position.copied * _COMPACT_SHARE)):
            return position
        last = position.last_wave
        generation = position.generation + 1
        with self.warehouse.transaction():
            copied = exp.select(
                *(exp.alias_(part.copy(), name) for name, part in (
                    ("audience", self._parts["audience"]), ("destination", self._parts["destination"]),
                    ("generation", literal(generation)),
                )), "h.member", "h.user_id", "h.is_present", "h.row_hash", "h.mapping_version", "h.refused_change",
                "h.refused_hash", "h.attempts",
            ).from_(held.subquery("h")).where("h.is_present OR NOT h.refused_change IS NULL OR h.attempts > 0")  # fmt: skip
            members = self._table(AUDIENCE_MEMBERS.name)
            self.warehouse.execute(exp.insert(copied, members, columns=list(AUDIENCE_MEMBERS.names)))
            self._execute(
                "DELETE FROM state.audience_members WHERE audience = :audience AND destination = :destination "
                "AND generation < :generation",
                generation=literal(generation),
            )
            count = self._rows(
                "SELECT COUNT(*) AS members FROM state.audience_members AS a WHERE a.audience = :audience AND "
                "a.destination = :destination AND a.generation = :generation AND a.is_present",
                generation=literal(generation),
            )[0]["members"]
            moved = Position(generation, last + 1, last, int(count), position.syncs, position.mapping_version)
            self.finish(moved, "compacted", {}, None, position.mapping_version)
        return moved

    def close(self) -> None:
        """Drop the temporary tables."""
        for table in (
            "audience_changed",
            "audience_wanted",
            WORK,
            TOUCHED,
            REFUSALS,
            READ,
            "audience_doubled_keys",
            "audience_doubled_members",
        ):
            with contextlib.suppress(WarehouseError):  # after an error PostgreSQL may refuse; the session ends with it
                self.drop(table)

    # -- small pieces ---------------------------------------------------------------------------------------------

    def _load_refusals(self, refusals: Sequence[tuple[int, str, str, str | None]]) -> None:
        self.drop(REFUSALS)
        columns = {"seq": "BIGINT", "status": "TEXT", "code": "TEXT", "error": "TEXT"}
        self._make_table(REFUSALS, columns)
        schema = pa.schema(
            [("seq", pa.int64()), ("status", pa.string()), ("code", pa.string()), ("error", pa.string())]
        )
        rows = [dict(zip(columns, refusal, strict=True)) for refusal in refusals]
        self.warehouse.ingest(REFUSALS, pa.Table.from_pylist(rows, schema=schema))

    def _make_table(self, name: str, columns: Mapping[str, str]) -> None:
        parts = [
            exp.ColumnDef(this=exp.to_identifier(column), kind=exp.DataType.build(kind))
            for column, kind in columns.items()
        ]
        self.warehouse.execute(
            exp.Create(
                this=exp.Schema(this=exp.to_table(name), expressions=parts),
                kind="TABLE",
                properties=exp.Properties(expressions=[exp.TemporaryProperty()]),
            )
        )

    def _sent(self, phase: str) -> exp.Expr:
        return exp.paren(sqlglot.condition(_PHASES[phase], dialect="duckdb"))

    def _range(self, phase: str, page: tuple[int, int]) -> exp.Expr:
        return exp.and_(
            exp.GTE(this=self._seq.copy(), expression=literal(page[0])),
            exp.LTE(this=self._seq.copy(), expression=literal(page[1])),
            self._sent(phase),
        )

    def _table(self, name: str) -> exp.Table:
        return Relation(self._schema, name).table()

    def drop(self, table: str) -> None:
        """Drop a temporary table, if it is there."""
        self.warehouse.execute(exp.Drop(tables=[exp.to_table(table)], kind="TABLE", exists=True))

    def _execute(self, text: str, **parts: exp.Expr) -> None:
        self.warehouse.execute(self._tree(text, parts))

    def _rows(self, text: str, **parts: exp.Expr) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.warehouse.rows(self._tree(text, parts))
        return found

    def _tree(self, text: str, parts: Mapping[str, exp.Expr]) -> exp.Expr:
        """A constant statement with `:name` replaced by constants and `state.x` by the state's tables."""
        found = sqlglot.parse_one(text, read="duckdb")
        known = {**self._parts, **parts}
        for node in list(found.find_all(exp.Placeholder)):
            node.replace(known[node.name].copy())
        for table in found.find_all(exp.Table):
            if table.db == "state":
                table.set("db", exp.to_identifier(self._schema, quoted=True))
        return found


def audience_of(warehouse: Warehouse, project: Project, run_id: str) -> str | None:
    """The audience that a run synced, or None."""
    relation = Relation(project.policy.state.schema_, AUDIENCE_SYNCS.name)
    query = exp.select("audience").from_(relation.table()).where(exp.column("run_id").eq(literal(run_id))).limit(1)
    found = warehouse.scalar(query)
    return None if found is None else str(found)


def last_syncs(warehouse: Warehouse, project: Project) -> dict[tuple[str, str], dt.datetime]:
    """The instant of the last sync by audience and destination."""
    relation = Relation(project.policy.state.schema_, AUDIENCE_SYNCS.name)
    if relation not in warehouse.columns([relation]):
        return {}
    query = exp.select("audience", "destination", "MAX(recorded_at) AS recorded_at").from_(relation.table())
    rows = warehouse.rows(query.group_by("audience", "destination"))
    return {(row["audience"], row["destination"]): row["recorded_at"] for row in rows}


def last_runs(warehouse: Warehouse, project: Project, count: int = 100) -> list[str]:
    """The ids of the last syncs, newest first."""
    relation = Relation(project.policy.state.schema_, AUDIENCE_SYNCS.name)
    query = exp.select("run_id").from_(relation.table()).order_by("recorded_at DESC").limit(count)
    return [str(found) for found in warehouse.query(query).column(0).to_pylist()]


def literal_or_null(value: str | None) -> exp.Expr:
    """A text as a literal; None as a NULL that is known to be text."""
    return exp.cast(exp.null(), "TEXT") if value is None else literal(value)
