"""An audience's change set as SQL: who is wanted, who is held, and what has to be told to the destination.

Reads the segment, the profiles where they are needed, and what the destination acknowledged; writes temporary tables
only. A row is compared by its canonical hash, member by member, so that a row the destination refused is still different.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sqlglot import exp

from activate.audience import Audience
from activate.compile.audience_source import Source
from activate.compile.sql import create, literal, replace_tables, tree
from activate.project import Project
from activate.warehouses.dialect import Dialect

WORK, TOUCHED, DOUBLED, CHANGED = "audience_work", "audience_touched", "audience_doubled", "audience_changed"
WANTED = "audience_wanted"


@dataclass(frozen=True)
class Held:
    """Where the state of an audience stands: see `activate.tables.AUDIENCE_SYNCS`.

    `generation` is the copy in `audience_members` that counts (0: none), `first_wave` the first wave not in it, and
    `has_later` tells whether there are changes from it on.
    """

    generation: int = 0
    first_wave: int = 1
    has_later: bool = False


class Step(NamedTuple):
    """One statement of a change set."""

    name: str
    doc: str
    sql: exp.Expr
    creates: str | None = None


# Every wave of a member with its outcome; a claim without an outcome stays a claim, and so a doubt.
_TOUCHED = """
WITH waves AS (
  SELECT c.member, c.wave, MAX(c.user_id) AS user_id, MAX(c.change) AS change, MAX(c.row_hash) AS row_hash,
    MAX(c.mapping_version) AS mapping_version,
    COALESCE(MAX(CASE WHEN c.status <> 'claimed' THEN c.status END), 'claimed') AS status
  FROM state.audience_changes AS c
  WHERE c.audience = :audience AND c.destination = :destination AND c.wave >= :first_wave AND c.status <> 'invalid'
  GROUP BY c.member, c.wave
), marks AS (
  SELECT w.member, MAX(w.user_id) AS user_id,
    MAX(CASE WHEN w.status IN ('accepted', 'baselined', 'observed') THEN w.wave ELSE 0 END) AS sure,
    MAX(CASE WHEN w.status IN ('claimed', 'unknown') THEN w.wave ELSE 0 END) AS doubt,
    MAX(CASE WHEN w.status = 'rejected' THEN w.wave ELSE 0 END) AS refused,
    MAX(CASE WHEN w.status IN ('accepted', 'baselined', 'observed', 'released') THEN w.wave ELSE 0 END) AS cleared
  FROM waves AS w GROUP BY w.member
), failures AS (
  SELECT w.member, COUNT(*) AS attempts FROM waves AS w JOIN marks AS m ON m.member = w.member
  WHERE w.status = 'failed' AND w.wave > m.cleared AND w.wave > m.refused GROUP BY w.member
)
SELECT m.member, m.user_id,
  CASE WHEN m.doubt > m.sure THEN TRUE WHEN m.sure > 0 THEN s.change <> 'remove'
    ELSE COALESCE(b.is_present, FALSE) END AS is_present,
  CASE WHEN m.doubt > m.sure THEN NULL WHEN m.sure > 0 THEN s.row_hash ELSE b.row_hash END AS row_hash,
  CASE WHEN m.doubt > m.sure THEN NULL WHEN m.sure > 0 THEN s.mapping_version ELSE b.mapping_version END
    AS mapping_version,
  CASE WHEN m.refused > m.cleared THEN r.change WHEN m.cleared = 0 THEN b.refused_change END AS refused_change,
  CASE WHEN m.refused > m.cleared THEN r.row_hash WHEN m.cleared = 0 THEN b.refused_hash END AS refused_hash,
  COALESCE(f.attempts, 0) + CASE WHEN m.cleared = 0 AND m.refused = 0 THEN COALESCE(b.attempts, 0) ELSE 0 END
    AS attempts
FROM marks AS m
LEFT JOIN waves AS s ON s.member = m.member AND s.wave = m.sure
LEFT JOIN waves AS r ON r.member = m.member AND r.wave = m.refused
LEFT JOIN failures AS f ON f.member = m.member
LEFT JOIN (:base) AS b ON b.member = m.member
"""

_BASE = """
SELECT a.member, a.user_id, a.is_present, a.row_hash, a.mapping_version, a.refused_change, a.refused_hash, a.attempts
FROM state.audience_members AS a
WHERE a.audience = :audience AND a.destination = :destination AND a.generation = :generation
"""

_BOTH = """
SELECT b.member, b.user_id, b.is_present, b.row_hash, b.mapping_version, b.refused_change, b.refused_hash, b.attempts
FROM (:base) AS b LEFT JOIN audience_touched AS n ON n.member = b.member WHERE n.member IS NULL
UNION ALL
SELECT t.member, t.user_id, t.is_present, t.row_hash, t.mapping_version, t.refused_change, t.refused_hash, t.attempts
FROM audience_touched AS t
"""

# Of the people who share an identifier one stands for it: one who is wanted, if there is one. An excluded person
# bars the identifier, whoever else has it. (Rows without an identifier count for nothing: a condition on it would be
# worked out beside the identifier itself, which is most of the work.)
_DOUBLED_MEMBERS = """
SELECT s.member, COALESCE(MIN(CASE WHEN s.left_out IS NULL AND s.problem IS NULL THEN s.user_id END), MIN(s.user_id))
  AS keeper, MAX(CASE WHEN s.left_out = 'excluded' THEN 1 ELSE 0 END) AS barred
FROM (:source) AS s GROUP BY s.member HAVING COUNT(s.member) > 1
"""

_DOUBLED_KEYS = (
    "SELECT s.user_id FROM (:source) AS s WHERE NOT s.user_id IS NULL GROUP BY s.user_id HAVING COUNT(*) > 1"
)


# What a run changed and no later one changed again.
_UNDONE = """
SELECT c.member, c.user_id, CASE c.change WHEN 'add' THEN 'remove' WHEN 'remove' THEN 'add' ELSE 'kept' END AS verdict
FROM state.audience_changes AS c
JOIN (
  SELECT n.member, MAX(n.wave) AS wave FROM state.audience_changes AS n
  WHERE n.audience = :audience AND n.destination = :destination
    AND n.status IN ('accepted', 'baselined', 'observed', 'unknown')
  GROUP BY n.member
) AS l ON l.member = c.member AND l.wave = c.wave
WHERE c.audience = :audience AND c.destination = :destination AND c.run_id = :undone AND c.status IN ('accepted', 'unknown')
"""


class ChangeSet:
    """The statements that compute one audience's change set into `audience_work`.

    `audience_work` has a row for each member who is not as the destination holds them, and for each person who cannot be
    or is not to be sent: seq (but see `Dialect.row_number`), member, user_id, verdict (`add`, `update`, `remove`, `remapped`, `refused`, `invalid`,
    `left_out`), reason, row_hash, attempts, and a column per field, named f0, f1, … in the order of `fields`.
    """

    def __init__(
        self, project: Project, dialect: Dialect, audience: Audience, held: Held, *, full: bool = False,
        keep_unchanged: bool = False,
    ) -> None:  # fmt: skip
        self.project = project
        self.dialect = dialect
        self.audience = audience
        self.held = held
        self._full = full
        self._keep = keep_unchanged
        self.source = Source(project, dialect, audience)
        self.fields = self.source.fields

    @property
    def constants(self) -> dict[str, exp.Expr]:
        """What the texts' placeholders stand for."""
        return {
            "audience": literal(self.audience.audience),
            "destination": literal(self.audience.destination),
            "generation": literal(self.held.generation),
            "first_wave": literal(self.held.first_wave),
        }

    @property
    def instants(self) -> frozenset[str]:
        """The fields that are instants, not dates."""
        return frozenset(name for name, field in self.fields.items() if field.kind == "instant" and not field.is_date)

    def steps(self) -> Iterator[Step]:
        """Everything in order, to be read by people."""
        if self.held.has_later:
            yield self.touched()
        yield from self.wanted()
        yield self.doubled_keys()
        yield from self.doubled_members()
        yield from self.work(True, not self.audience.by_key)

    @property
    def counts_tell_doubles(self) -> bool:
        """Whether the comparison's own counts show that no identifier is there twice, so that it need not be looked for first.

        Where members are held: rows of the segment that are not new are then as many as members that are not gone. Where
        people are known by their key, that tells of their keys too.
        """
        return self._is_anybody_held

    @property
    def _is_anybody_held(self) -> bool:
        return bool(self.held.generation) or self.held.has_later

    @property
    def _is_worked_out_first(self) -> bool:
        """Whether everybody's identifier and hash are kept in a table (`wanted`), being asked more than once: a hashed
        identifier costs far more to work out than to write and read."""
        return self._is_anybody_held and not self.audience.by_key

    def _wanted(self, values: bool) -> exp.Select:
        """The segment's rows, as `Source.rows` tells them; without the fields' values where they were worked out first."""
        if self._is_worked_out_first:
            return exp.select("w.*").from_(f"{WANTED} AS w")
        return self.source.rows(values)

    def touched(self) -> Step:
        """What became of members since the last copy."""
        touched = tree(_TOUCHED, **self.constants, base=self._base())
        return self._step("audience.touched", "What became of members since the last copy.", touched, TOUCHED)

    def work(self, has_doubled_keys: bool, has_doubled_members: bool) -> Iterator[Step]:
        """The change set; the tables of those who are doubled are left out where they are empty.

        Where members are held, most rows are as they were: the comparison then carries keys and hashes alone, and the
        fields are looked up for those who differ.
        """
        numbered = self._numbered()
        if not self._is_anybody_held:
            compared = self._compared(has_doubled_keys, has_doubled_members, values=True)
            whole = (
                numbered.select("v.*")
                .from_(compared.subquery("v", copy=False))
                .where("NOT v.verdict IS NULL", copy=False)
            )
            yield self._step("audience.work", "The change set.", whole, WORK)
            return
        compared = self._compared(has_doubled_keys, has_doubled_members, values=False)
        changed = (
            exp.select("v.*")
            .from_(compared.subquery("v", copy=False))
            .where("NOT v.verdict IS NULL OR v.side <> 'both'", copy=False)
        )
        yield self._step("audience.changed", "Who is not as the destination holds them.", changed, CHANGED)
        columns = ("member", "user_id", "row_hash", "attempts", "verdict", "reason")
        fields = (f"p.f{number} AS f{number}" for number in range(len(self.fields)))
        whole = numbered.select(*(f"v.{name}" for name in columns), *fields).from_(f"{CHANGED} AS v")
        whole = whole.where("NOT v.verdict IS NULL", copy=False)
        on = tree("p.user_id = CASE WHEN v.verdict IN ('add', 'update', 'remapped', 'unchanged') THEN v.user_id END")
        whole = whole.join(self.source.payload().subquery("p", copy=False), on=on, join_type="left", copy=False)
        yield self._step("audience.work", "The change set, with what is sent.", whole, WORK)

    def wanted(self) -> Iterator[Step]:
        """Who is in the segment, where that is worked out first."""
        if self._is_worked_out_first:
            columns = ("user_id", "member", "problem", "left_out", "row_hash")
            rows = self.source.rows(values=True).subquery("s", copy=False)
            wanted = exp.select(*(f"s.{name}" for name in columns)).from_(rows, copy=False)
            yield self._step("audience.wanted", "Who is in the segment, as the destination knows them.", wanted, WANTED)

    def doubled_keys(self) -> Step:
        """Who is in the segment more than once."""
        doubled = tree(_DOUBLED_KEYS, source=self._wanted(values=False))
        return self._step("audience.doubled_keys", "People who are in the segment twice.", doubled, f"{DOUBLED}_keys")

    def doubled_members(self) -> Iterator[Step]:
        """Which identifiers several people have, unless they are the keys."""
        if not self.audience.by_key:
            doubled = tree(_DOUBLED_MEMBERS, source=self._wanted(values=False))
            yield self._step(
                "audience.doubled_members", "Identifiers that several people have.", doubled, f"{DOUBLED}_members"
            )

    def held_query(self) -> exp.Query:
        """Everybody the destination was told about, as it stands; needs `audience_touched` where there is something later."""
        found: exp.Query = tree(_BOTH, base=self._base()) if self.held.has_later else self._base()
        self._point(found)
        return found

    def undo(self, run_id: str) -> exp.Expr:
        """`audience_work` with the inverse of a run; `kept` are updates, whose old values are nowhere kept."""
        found = self._numbered().select(
            "u.member", "u.user_id", "u.verdict",
            "CAST(NULL AS TEXT) AS reason", "CAST(NULL AS TEXT) AS row_hash", "0 AS attempts",
        ).from_(tree(_UNDONE, **self.constants, undone=literal(run_id)).subquery("u", copy=False))  # fmt: skip
        for model, alias in ((self.source.segment, "t"), (self.source.profiles(), "p")):
            on = self.source.key(alias, model).eq(exp.column("user_id", table="u"))
            found = found.join(model.relation.table(alias), on=on, join_type="left")
        for number, field in enumerate(self.fields.values()):
            found = found.select(exp.alias_(field.sent.copy(), f"f{number}"))
        found, barred = self.source.barred(found, "u")
        # Whoever may not be there any more is not brought back.
        found = found.where(exp.or_("u.verdict <> 'add'", exp.paren(barred).is_(exp.null())))
        return self._point(create(WORK, found))

    def _numbered(self) -> exp.Select:
        """The beginning of a query whose rows are numbered as `seq`, where the warehouse does not do so by itself.

        A window keeps all rows in memory before the first is written, and DuckDB's numbers them in one thread.
        """
        if self.dialect.row_number is not None:
            return exp.select()
        return exp.select(exp.alias_(exp.Window(this=exp.RowNumber()), "seq"))

    def _step(self, name: str, doc: str, query: exp.Expr, table: str) -> Step:
        return Step(name, doc, self._point(create(table, query)), table)

    def _point(self, query: exp.Expr) -> exp.Expr:
        return replace_tables(query, self.project.policy.state.schema_, {})

    def _base(self) -> exp.Query:
        return tree(_BASE, **self.constants)

    # -- the comparison -------------------------------------------------------------------------------------------

    def _compared(self, has_doubled_keys: bool, has_doubled_members: bool, values: bool) -> exp.Select:
        source = self._wanted(values=True)
        problem_, left_out = tree("s.problem"), tree("s.left_out")
        if has_doubled_keys or has_doubled_members:
            marked = exp.select("s.*").from_(source.subquery("s", copy=False))
            if has_doubled_keys:
                marked = marked.join(f"{DOUBLED}_keys AS k", on="k.user_id = s.user_id", join_type="left", copy=False)
                problem_ = tree("CASE WHEN NOT s.doubled_key IS NULL THEN 'duplicate_key' ELSE s.problem END")
                marked = marked.select("k.user_id AS doubled_key", copy=False)
            if has_doubled_members:
                marked = marked.join(f"{DOUBLED}_members AS m", on="m.member = s.member", join_type="left", copy=False)
                marked = marked.select("m.keeper AS keeper", "m.barred AS barred", copy=False)
                problem_ = tree(
                    "CASE WHEN s.problem IS NULL AND s.keeper <> s.user_id THEN 'duplicate_identifier' ELSE :before END",
                    before=problem_,
                )
                left_out = tree("CASE WHEN s.barred = 1 THEN 'excluded' ELSE s.left_out END")
            source = marked
        fields = [f"f{number}" for number in range(len(self.fields))] if values else []
        # Every column that goes through the join is paid for: where people are known by their key, it goes through once.
        mine, theirs = ("member", "member") if self.audience.by_key else ("user_id", "user_id")
        query = exp.select(
            "COALESCE(c.member, h.member) AS member",
            f"COALESCE(c.{mine}, h.{theirs}) AS user_id",
            "c.row_hash AS row_hash",
            "COALESCE(h.attempts, 0) AS attempts",
            *(f"c.{name} AS {name}" for name in fields),
        )
        kept = ["user_id", "member", "row_hash", *fields]
        wanted = exp.select(*(f"s.{name}" for name in kept), "TRUE AS here")
        wanted = wanted.select(exp.alias_(problem_, "problem"), exp.alias_(left_out, "left_out"))
        wanted = wanted.from_(source.subquery("s", copy=False))
        query = query.from_(wanted.subquery("c", copy=False)).join(
            self._narrowed(self.held_query()).subquery("h", copy=False),
            on="h.member = c.member",
            join_type="full",
            copy=False,
        )
        query, barred = self.source.barred(query, "h")
        gone = tree("CASE WHEN c.here IS NULL THEN CAST(:barred AS TEXT) END", barred=barred)
        reason = tree("COALESCE(c.problem, c.left_out, :gone)", gone=gone)
        query = query.select(exp.alias_(self._verdict(gone), "verdict"), exp.alias_(reason, "reason"), copy=False)
        side = "CASE WHEN h.member IS NULL THEN 'new' WHEN c.here IS NULL THEN 'gone' ELSE 'both' END AS side"
        return query if values else query.select(side, copy=False)

    def _narrowed(self, held: exp.Query) -> exp.Select:
        """The held members with what the comparison asks of them."""
        columns = ("member", "user_id", "is_present", "row_hash", "refused_change", "refused_hash", "attempts")
        is_remapped = tree(
            "COALESCE(n.mapping_version, '') <> :mapping", mapping=literal(self.audience.mapping_version)
        )
        query = exp.select(*(f"n.{name}" for name in columns), exp.alias_(is_remapped, "is_remapped"))
        return query.from_(held.subquery("n", copy=False))

    def _verdict(self, gone: exp.Expr) -> exp.Expr:
        """What has to be told of a member; NULL: nothing. `gone`: why somebody who left the segment must not stay."""
        mode, audience = self.audience.mode, self.audience
        removal = "'remove'" if mode == "mirror" else "NULL"
        # Suppression lists always win: whoever is on one is taken out in every mode, in the segment or not.
        barred = f"CASE WHEN c.left_out IN ('excluded', 'no_consent') THEN 'remove' ELSE {removal} END"
        update = "'update'" if mode != "add_only" else "NULL"
        remapped = "'update'" if audience.on_new_mapping == "resend" and mode != "add_only" else (
            "'remapped'" if mode != "add_only" else "NULL"
        )  # fmt: skip
        # Whoever cannot be sent stays as they are, but a full set is written without them.
        invalid = "'invalid'"
        if self._keep:
            invalid = (
                "CASE WHEN COALESCE(h.is_present, FALSE) AND c.problem <> 'duplicate_identifier' THEN 'remove' "
                "ELSE 'invalid' END"
            )
        same = "'update'" if self._full else "'unchanged'" if self._keep else "NULL"
        return tree(
            f"""
            CASE
              WHEN c.here IS NULL THEN CASE WHEN NOT h.is_present THEN NULL
                WHEN h.refused_change = 'remove' THEN 'refused' WHEN NOT :gone IS NULL THEN 'remove' ELSE {removal} END
              WHEN NOT c.problem IS NULL THEN {invalid}
              WHEN NOT c.left_out IS NULL THEN CASE WHEN NOT COALESCE(h.is_present, FALSE) THEN 'left_out'
                WHEN h.refused_change = 'remove' THEN 'refused' ELSE COALESCE({barred}, 'left_out') END
              WHEN h.refused_hash = c.row_hash AND h.refused_change <> 'remove' THEN 'refused'
              WHEN NOT COALESCE(h.is_present, FALSE) THEN 'add'
              WHEN h.row_hash IS NULL THEN 'add'
              WHEN h.is_remapped THEN {remapped}
              WHEN h.row_hash <> c.row_hash THEN {update}
              ELSE {same}
            END
            """,
            gone=exp.paren(gone),
        )
