"""The request as one query: events read once, counted per person by condition, asked of everybody in the profiles.

`happened` are the events that matter, `counted` has a row per person and a column per count, `asked` has everybody and an
answer (true, false or null) per line.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from activate.ask.check import Leaf
from activate.ask.comparison import as_number, compared, counted, never_null_not
from activate.ask.known import Field
from activate.ask.lines import Line
from activate.ask.names import column, identifier, named, slug
from activate.ask.phrases import phrase
from activate.ask.place import Place, constant
from activate.ask.question import Count, Question
from activate.families import family
from activate.project import Model
from activate.request import Happening


def members(question: Question, place: Place) -> exp.Select:
    """One row per person who fits: the key, and what was counted."""
    answer = exp.select(column(question.key), *(column(count.name) for count in question.shown)).from_("asked")
    return _Maker(question, place).complete(answer.where(verdict(question.root)))


def figures(question: Question, place: Place) -> exp.Select:
    """One row: `everybody`, `people` (who fit), then per line `line_N` (who fit it) and, for the lines of an outermost
    `all`, `so_far_N` (who fit it and all lines before)."""
    shown = [_how_many(None, "everybody"), _how_many(verdict(question.root), "people")]
    shown += [_how_many(verdict(line), line.column) for line in question.root.walk() if line.number]
    before: list[exp.Expr] = []
    for line in steps(question.root):
        before.append(verdict(line))
        shown.append(_how_many(exp.and_(*(part.copy() for part in before)), line.column.replace("line", "so_far", 1)))
    return _Maker(question, place).complete(exp.select(*shown).from_("asked"))


def steps(root: Line) -> tuple[Line, ...]:
    """The lines that are passed one after the other: those of an outermost `all`."""
    return root.children if root.key == "all" and not root.negated else ()


def verdict(line: Line) -> exp.Expr:
    """Whether somebody in `asked` fits a line. A leaf's column has its `not` in it already."""
    if not line.is_group:
        return column(line.column)
    join = exp.and_ if line.key == "all" else exp.or_
    found = join(*(verdict(child) for child in line.children))
    return never_null_not(found) if line.negated else found


def _how_many(condition: exp.Expr | None, name: str) -> exp.Expr:
    if condition is None:
        return exp.Alias(this=exp.Count(this=exp.Star()), alias=identifier(name))
    return exp.Alias(this=exp.Count(this=_when(condition, exp.Literal.number(1))), alias=identifier(name))


def _when(condition: exp.Expr, value: exp.Expr) -> exp.Case:
    return exp.Case(ifs=[exp.If(this=condition, true=value)])


class _Maker:
    def __init__(self, question: Question, place: Place) -> None:
        self.question = question
        self.place = place
        self.policy = question.policy
        self.counts = {count.name: count for count in question.counts.values()}

    def complete(self, answer: exp.Select) -> exp.Select:
        """Put the CTEs before the answer."""
        if self.counts:
            answer = answer.with_("happened", as_=self._happened(), copy=False)
            answer = answer.with_("counted", as_=self._counted(), copy=False)
        for name, segment in self.question.segments.items():
            answer = answer.with_(_members_of(name), as_=self._segment(segment), copy=False)
        return answer.with_("asked", as_=self._asked(), copy=False)

    # -- what happened ------------------------------------------------------------------------------------------------

    def _happened(self) -> exp.Select:
        events, model = self.policy.events, self.question.events
        shown = [
            named(self._same_key(model, events.key), self.question.key),
            column(events.name),
            named(self._instant(events.time), events.time),
        ]
        for wanted, name in self.question.properties.items():
            if name not in (events.name, events.time):
                shown.append(named(self._property(wanted), name))
        return exp.select(*shown).from_(self.place.table(model, "events")).where(*self._bounds())

    def _bounds(self) -> Iterator[exp.Expr]:
        events = self.policy.events
        names = sorted({count.happening.event for count in self.counts.values()})
        wanted: list[exp.Expr] = [exp.Literal.string(name) for name in names]
        name = column(events.name)
        yield exp.EQ(this=name, expression=wanted[0]) if len(names) == 1 else exp.In(this=name, expressions=wanted)
        earliest = list(self._earliest())
        if earliest:
            yield exp.or_(*earliest)
        # Nothing counts before it could be known: history can be replayed.
        for time in dict.fromkeys((events.time, events.loaded or events.time)):
            yield exp.LTE(this=self._instant(time), expression=self.place.now())

    def _earliest(self) -> Iterator[exp.Expr]:
        """How far back events matter to any count; nothing if one of them goes back to the beginning."""
        happenings = [count.happening for count in self.counts.values()]
        if any(happening.within is None and happening.since is None for happening in happenings):
            return
        within = [happening.within for happening in happenings if happening.within is not None]
        since = [happening.since for happening in happenings if happening.since is not None]
        time = self._instant(self.policy.events.time)
        if within:
            yield exp.GT(this=time, expression=self.place.ago(max(within)))
        if since:
            yield exp.GTE(this=time.copy(), expression=constant(min(since)))

    def _instant(self, name: str) -> exp.Expr:
        return self.place.dialect.instant(column(name), self.question.events.columns[name])

    def _property(self, wanted: Field) -> exp.Expr:
        if wanted.is_document:
            return self.place.document_text(column(str(self.policy.events.properties)), wanted.name)
        found = column(wanted.name)
        return self.place.dialect.instant(found, wanted.type_name) if wanted.family == "instant" else found

    # -- counted per person -------------------------------------------------------------------------------------------

    def _counted(self) -> exp.Select:
        key = column(self.question.key)
        return (
            exp.select(key, *(self._count(count) for count in self.counts.values()))
            .from_("happened")
            .group_by(key.copy())
        )

    def _count(self, count: Count) -> exp.Expr:
        condition = exp.and_(*self._conditions(count.leaf, count.happening))
        if count.total is None:
            return named(exp.Count(this=_when(condition, exp.Literal.number(1))), count.name)
        value: exp.Expr = column(self.question.properties[count.total])
        if count.total.is_document:
            value = as_number(value)
        return named(exp.Sum(this=_when(condition, value)), count.name)

    def _conditions(self, leaf: Leaf, happening: Happening) -> Iterator[exp.Expr]:
        yield exp.EQ(this=column(self.policy.events.name), expression=exp.Literal.string(happening.event))
        time = column(self.policy.events.time)
        if happening.within is not None:
            yield exp.GT(this=time, expression=self.place.ago(happening.within))
        elif happening.since is not None:
            yield exp.GTE(this=time, expression=constant(happening.since))
        for found, comparison in leaf.compared:
            yield compared(self.place, found, column(self.question.properties[found]), comparison)

    # -- asked of everybody -------------------------------------------------------------------------------------------

    def _asked(self) -> exp.Select:
        key = self.question.key
        shown: list[exp.Expr] = [column(key, "profiles")]
        shown += [named(self._figure(count), count.name) for count in self.question.shown]
        for line in self.question.root.leaves():
            answer = exp.Alias(this=self._answer(line), alias=identifier(line.column))
            answer.add_comments([f" {line.number}. {phrase(line)}"])
            shown.append(answer)
        query = exp.select(*shown).from_(self.place.table(self.question.profiles, "profiles"))
        own = self._same_key(self.question.profiles, key, "profiles")
        joined = [*(["counted"] if self.counts else []), *(_members_of(name) for name in self.question.segments)]
        for name in joined:
            on = exp.EQ(this=column(key, name), expression=own.copy())
            query = query.join(exp.to_table(name), on=on, join_type="left", copy=False)
        return query

    def _figure(self, count: Count) -> exp.Expr:
        figure = column(count.name, "counted")
        return figure if count.total else exp.Coalesce(this=figure, expressions=[exp.Literal.number(0)])

    def _answer(self, line: Line) -> exp.Expr:
        leaf, condition = self.question.leaves[line.number], line.condition
        if leaf.segment is not None:
            absent = exp.Is(this=column(self.question.key, _members_of(leaf.segment.name)), expression=exp.null())
            return exp.Not(this=absent) if (condition.in_segment is not None) != line.negated else absent
        if condition.did_not is not None:
            never = exp.GT if line.negated else exp.EQ
            return never(this=self._figure(self.question.counts[line.number]), expression=exp.Literal.number(0))
        answer = self._leaf(line, leaf)
        return never_null_not(answer) if line.negated else answer

    def _leaf(self, line: Line, leaf: Leaf) -> exp.Expr:
        did = line.condition.did
        if did is not None:
            count = self.question.counts[line.number]
            figure = self._figure(count)
            return counted(did, figure, figure if count.total else None)
        return exp.and_(*(
            compared(self.place, found, self._profile_field(found), comparison) for found, comparison in leaf.compared
        ))  # fmt: skip

    def _profile_field(self, found: Field) -> exp.Expr:
        value = column(found.name, "profiles")
        return self.place.dialect.instant(value, found.type_name) if found.family == "instant" else value

    def _segment(self, segment: Model) -> exp.Select:
        key = named(self._same_key(segment, str(segment.key)), self.question.key)
        return exp.select(key).distinct().from_(self.place.table(segment, "segment"))

    def _same_key(self, model: Model, name: str, table: str | None = None) -> exp.Expr:
        """A key as it can be compared: as TEXT where the models do not agree on what kind of value it is."""
        question = self.question
        types = [question.profiles.columns[question.key], question.events.columns[self.policy.events.key]]
        types += [segment.columns[str(segment.key)] for segment in question.segments.values()]
        found = column(name, table)
        if len({family(type_name) for type_name in types}) == 1:
            return found
        return self.place.dialect.text(found, model.columns[name])


def _members_of(segment: str) -> str:
    return slug(f"in {segment}")
