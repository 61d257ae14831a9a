"""An audience's wanted side as SQL: who is in the segment, what is sent of them, and who is left out and why."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from sqlglot import exp

from activate.audience import EXTERNAL_ID, Audience, Mapped
from activate.compile.rulebook import cut
from activate.compile.sql import case, literal, tree
from activate.compile.values import Value, canonical, hashed, problem, row_hash, uniform, value
from activate.compile.world import column_of, consent, type_of
from activate.project import Model, Project
from activate.warehouses.dialect import Dialect


class Source:
    """The segment of one audience, joined with what it is asked for; nothing of what the destination holds."""

    def __init__(self, project: Project, dialect: Dialect, audience: Audience) -> None:
        self.project = project
        self.dialect = dialect
        self.audience = audience
        self.segment = project.models[audience.segment]
        self._profiles = project.models[project.policy.profiles.model]
        self.fields = self._fields()

    def _fields(self) -> dict[str, Value]:
        audience = self.audience
        found = {name: self._value(mapped, name) for name, mapped in audience.fields.items()}
        by = audience.identify_by
        if audience.by_key and by.column not in (None, EXTERNAL_ID) and by.column not in found:
            found[str(by.column)] = self._value(by, str(by.column))
        if audience.split is not None and audience.split.field is not None:
            found[audience.split.field] = Value(exp.cast(self._arm(), "TEXT"), "text")
        return found

    def _place(self, name: str) -> tuple[Model, str]:
        """The model that has a column, and its alias: the segment first, then the profiles."""
        if _has(self.segment, name) or not _has(self._profiles, name):
            return self.segment, "t"
        return self._profiles, "p"

    def _value(self, mapped: Mapped, name: str) -> Value:
        if mapped.column is None:
            return value(mapped, None, "", self.dialect)
        if mapped.column == EXTERNAL_ID:
            return value(mapped, self.key(), "text", self.dialect, name)
        model, alias = self._place(mapped.column)
        column = column_of(model, mapped.column, alias)
        return value(mapped, column, type_of(model, mapped.column, "text"), self.dialect, name)

    def key(self, alias: str = "t", model: Model | None = None) -> exp.Expr:
        """The person's key of a model (the segment's, if none is named) as text."""
        model = model or self.segment
        name = model.key or self.project.policy.profiles.key
        found = column_of(model, name, alias)
        return self.dialect.text(found, type_of(model, name, "text"))

    def rows(self, values: bool) -> exp.Select:
        """The segment's rows: user_id, member, problem, left_out, and (if asked for) row_hash and the fields' values.

        What is dear and asked several times (an identifier made uniform, a value as text) is a column of an inner query:
        warehouses work a column out once, but an expression as often as it stands there.
        """
        inner = self._plain_rows(values)
        barred = self._barred_identifiers()
        query = exp.select("i.user_id", copy=False)
        if self._has_identifier:
            known_by = self._known_by()
            member = exp.column("user_id", table="i") if self.audience.by_key else known_by
            if self.audience.by_key and barred is not None:
                query = query.select(exp.alias_(known_by, "identifier"), copy=False)
            problem_ = (
                "CASE WHEN i.user_id IS NULL THEN 'null_key' WHEN NOT i.flaw IS NULL THEN i.flaw ELSE i.fault END"
            )
        else:
            member, problem_ = (
                exp.column("user_id", table="i"),
                "CASE WHEN i.user_id IS NULL THEN 'null_key' ELSE i.fault END",
            )
        query = query.select(
            exp.alias_(member, "member"), exp.alias_(tree(problem_), "problem"), "i.left_out", copy=False
        )
        if values:
            texts = [exp.column(f"c{number}", table="i") for number in range(len(self.fields))]
            query = query.select(exp.alias_(row_hash(texts, self.dialect), "row_hash"), copy=False)
            query = query.select(*(f"i.f{number}" for number in range(len(self.fields))), copy=False)
        query = query.from_(inner.subquery("i", copy=False), copy=False)
        return query if barred is None else self._without(query, barred)

    @property
    def _has_identifier(self) -> bool:
        """Whether an identifier is asked of everybody, beside their key."""
        return self.audience.identify_by.column != EXTERNAL_ID

    def _plain_rows(self, values: bool) -> exp.Select:
        """The segment's rows: user_id, fault (a field's), left_out; plain and flaw of the identifier where there is one; and
        (if asked for) the fields' values and their canonical texts c0, c1, … in the order of the fields' names."""
        faults = [(exp.not_(exp.paren(field.fault).is_(exp.null())), field.fault.copy())
                  for field in self.fields.values() if field.fault is not None]  # fmt: skip
        query = exp.select(exp.alias_(exp.func("NULLIF", self.key(), literal("")), "user_id"), copy=False)
        query = query.select(exp.alias_(exp.cast(case(faults), "TEXT"), "fault"), copy=False)
        query = query.from_(self.segment.relation.table("t"), copy=False)
        if self._uses_profiles(values):
            theirs = self.key("p", self.profiles())
            query = query.join(
                self._profiles.relation.table("p"), on=theirs.eq(self.key()), join_type="left", copy=False
            )
        query, left_out = self._left_out(query)
        query = query.select(exp.alias_(exp.cast(left_out, "TEXT"), "left_out"), copy=False)
        if values:
            for number, field in enumerate(self.fields.values()):
                query = query.select(exp.alias_(field.sent.copy(), f"f{number}"), copy=False)
            for number, name in enumerate(sorted(self.fields)):
                query = query.select(exp.alias_(canonical(self.fields[name]), f"c{number}"), copy=False)
        if not self._has_identifier:
            return query
        model, alias = self._place(str(self.audience.identify_by.column))
        return self._judged(query.select(exp.alias_(self._plain(model, alias), "plain"), copy=False))

    def _plain(self, model: Model, alias: str) -> exp.Expr:
        """The column that people are identified by, made uniform."""
        by = self.audience.identify_by
        column = str(by.column)
        text = self.dialect.text(column_of(model, column, alias), type_of(model, column, "text"))
        return uniform(text, by)

    def _judged(self, rows: exp.Select) -> exp.Select:
        """Rows with a uniform identifier (`plain`), and what is wrong with it (`flaw`)."""
        flaw = exp.cast(problem(self.audience.identify_by, exp.column("plain", table="n")), "TEXT")
        return exp.select("n.*", exp.alias_(flaw, "flaw")).from_(rows.subquery("n", copy=False), copy=False)

    def payload(self) -> exp.Select:
        """The segment's people with the fields' values."""
        query = exp.select(exp.alias_(self.key(), "user_id")).from_(self.segment.relation.table("t"))
        if self._uses_profiles(True):
            theirs = self.key("p", self.profiles())
            query = query.join(self._profiles.relation.table("p"), on=theirs.eq(self.key()), join_type="left")
        return query.select(*(exp.alias_(field.sent.copy(), f"f{at}") for at, field in enumerate(self.fields.values())))

    def profiles(self) -> Model:
        """The profiles, with the policy's key as theirs."""
        model = self._profiles
        return Model(model.name, model.relation, key=self.project.policy.profiles.key, columns=model.columns)

    def _uses_profiles(self, values: bool) -> bool:
        names = [self.audience.identify_by.column]
        names += [
            mapped.column for name, mapped in self.audience.fields.items()
            if values or self.fields[name].fault is not None
        ]  # fmt: skip
        return any(name not in (None, EXTERNAL_ID) and self._place(str(name))[1] == "p" for name in names)

    # -- who is left out ------------------------------------------------------------------------------------------

    def _left_out(self, query: exp.Select) -> tuple[exp.Select, exp.Expr]:
        """The query with the joins that it needs, and why a person is not to be in the audience, or NULL."""
        audience = self.audience
        found: list[tuple[exp.Expr, exp.Expr]] = []
        if audience.exclude:
            query = self._join(query, "x", self._members_of(audience.exclude))
            found.append((exp.not_(exp.column("user_id", table="x").is_(exp.null())), literal("excluded")))
        if audience.consent is not None:
            query = self._join(query, "y", self._consenting(audience.consent))
            found.append((exp.column("user_id", table="y").is_(exp.null()), literal("no_consent")))
        found += self._by_hash()
        higher = self._higher()
        if higher:
            query = self._join(query, "z", self._members_of_audiences(higher))
            found.append((exp.not_(exp.column("user_id", table="z").is_(exp.null())), literal("other_audience")))
        return query, case(found)

    def _by_hash(self) -> list[tuple[exp.Expr, exp.Expr]]:
        audience = self.audience
        found: list[tuple[exp.Expr, exp.Expr]] = []
        if audience.control is not None:
            drawn = exp.func("MD5", exp.DPipe(this=literal(f"audience|{audience.audience}|"), expression=self.key()))
            found.append((exp.LT(this=drawn, expression=literal(cut(audience.control))), literal("control_group")))
        if audience.split is not None and audience.split.take is not None:
            mine = exp.EQ(this=self._arm(), expression=literal(audience.split.take))
            found.append((exp.not_(mine), literal("other_arm")))
        return found

    def _arm(self) -> exp.Expr:
        """The arm that a person falls into: the same for every audience that names the split."""
        split = self.audience.split
        if split is None:
            raise AssertionError("only an audience with a split has arms")
        drawn = exp.func("MD5", exp.DPipe(this=literal(f"split|{split.name}|"), expression=self.key()))
        whole, upto = sum(split.arms.values()), 0
        pairs = []
        for name, weight in list(split.arms.items())[:-1]:
            upto += weight
            pairs.append((exp.LT(this=drawn.copy(), expression=literal(cut(Fraction(upto, whole)))), literal(name)))
        return case(pairs, literal(list(split.arms)[-1]))

    # Whoever is excluded must not be reached through somebody else's row either: an address that an excluded person has is
    # left out whoever else has it, and whether or not that person is in the segment.

    def _known_by(self) -> exp.Expr:
        """An identifier of `_judged` rows (alias `i`), as the destination gets it; NULL where it cannot be used."""
        how, plain = self.audience.identify_by.hash, exp.column("plain", table="i")
        return case([(tree("i.flaw IS NULL"), plain if how is None else hashed(plain, how, self.dialect))])

    def _barred_identifiers(self) -> exp.Query | None:
        """The identifiers of everybody who is excluded, by their own lists and by the profiles; None where there are none.

        None also where people are identified by their key, by which the exclusion itself goes.
        """
        by = self.audience.identify_by
        if by.column == EXTERNAL_ID or not self.audience.exclude:
            return None
        profiles, parts = self.profiles(), []
        for name in self.audience.exclude:
            model = self.project.models[name]
            people = exp.select().from_(model.relation.table("t"))
            if _has(model, str(by.column)):
                parts.append(self._identifiers(people.select(exp.alias_(self._plain(model, "t"), "plain"))))
            if _has(profiles, str(by.column)):
                on = self.key("p", profiles).eq(self.key("t", model))
                joined = people.join(profiles.relation.table("p"), on=on)
                parts.append(self._identifiers(joined.select(exp.alias_(self._plain(profiles, "p"), "plain"))))
        return _union(parts, "identifier") if parts else None

    def _identifiers(self, people: exp.Select) -> exp.Select:
        """The identifiers, as the destination gets them, of people with a uniform one (`plain`) that can be used."""
        found = exp.select(exp.alias_(self._known_by(), "identifier"))
        return found.from_(self._judged(people).subquery("i", copy=False), copy=False).where(
            "i.flaw IS NULL", copy=False
        )

    def _without(self, rows: exp.Select, barred: exp.Query) -> exp.Select:
        """The rows with `excluded` as the reason of those whose identifier is barred."""
        reason = "CASE WHEN NOT xi.identifier IS NULL THEN 'excluded' ELSE r.left_out END AS left_out"
        known_by = "identifier" if self.audience.by_key else "member"
        kept = (exp.column(name, table="r") for name in rows.named_selects if name not in ("identifier", "left_out"))
        query = exp.select(*kept, reason).from_(rows.subquery("r", copy=False))
        return query.join(
            barred.subquery("xi", copy=False), on=f"xi.identifier = r.{known_by}", join_type="left", copy=False
        )

    def barred(self, query: exp.Select, source: str) -> tuple[exp.Select, exp.Expr]:
        """The query with joins by `source.user_id`, and why that person must not be at the destination, or NULL.

        Asked of those who may have left the segment: an exclusion or a withdrawn consent outlives that.
        """
        key = exp.column("user_id", table=source)
        lists = []
        if self.audience.exclude:
            lists.append(("bx", self._members_of(self.audience.exclude), False, "excluded"))
        if self.audience.consent is not None:
            lists.append(("by", self._consenting(self.audience.consent), True, "no_consent"))
        found: list[tuple[exp.Expr, exp.Expr]] = []
        identifiers = self._barred_identifiers()
        if identifiers is not None and self.audience.identify_by.hash is not None:
            on = exp.column("identifier", table="bi")
            mine = exp.column("member", table=source)
            query = query.join(identifiers.subquery("bi", copy=False), on=on.eq(mine), join_type="left", copy=False)
            found.append((exp.not_(on.copy().is_(exp.null())), literal("excluded")))
        elif identifiers is not None and _has(self._profiles, str(self.audience.identify_by.column)):
            lists.append(("bi", self._with_identifier(identifiers), False, "excluded"))
        for alias, people, is_allowed, reason in lists:
            on = exp.column("user_id", table=alias)
            query = query.join(people.subquery(alias, copy=False), on=on.eq(key.copy()), join_type="left", copy=False)
            is_missing = on.copy().is_(exp.null())
            found.append((is_missing if is_allowed else exp.not_(is_missing), literal(reason)))
        return query, case(found)

    def _with_identifier(self, identifiers: exp.Query) -> exp.Query:
        """Everybody whose profile has one of the identifiers: state knows them by their keys alone."""
        profiles = self.profiles()
        plain = exp.select(
            exp.alias_(self._plain(profiles, "p"), "plain"), exp.alias_(self.key("p", profiles), "user_id")
        )
        people = self._identifiers(plain.from_(profiles.relation.table("p"))).select("i.user_id")
        found = exp.select("n.user_id").distinct().from_(people.subquery("n", copy=False))
        return found.join(identifiers.subquery("i", copy=False), on="i.identifier = n.identifier", copy=False)

    def _join(self, query: exp.Select, alias: str, people: exp.Query) -> exp.Select:
        on = exp.column("user_id", table=alias).eq(self.key())
        return query.join(people.subquery(alias, copy=False), on=on, join_type="left", copy=False)

    def _members_of(self, segments: tuple[str, ...]) -> exp.Query:
        parts: list[exp.Query] = []
        for name in segments:
            model = self.project.models[name]
            key = self.key("t", model)
            parts.append(exp.select(exp.alias_(key, "user_id")).from_(model.relation.table("t")))
        return _union(parts)

    def _consenting(self, name: str) -> exp.Query:
        channel = self.project.policy.channels[name]
        model = self.profiles()
        address = self.dialect.text(column_of(model, channel.address, "t"), type_of(model, channel.address, "text"))
        reachable = exp.and_(exp.not_(address.is_(exp.null())), exp.NEQ(this=address.copy(), expression=literal("")))
        agreed = exp.and_(reachable, consent(self.dialect, model, channel))
        people = exp.select(exp.alias_(self.key("t", model), "user_id")).from_(model.relation.table("t"))
        return people.where(agreed).distinct()

    def _higher(self) -> list[Audience]:
        """The audiences of the same group that come before this one."""
        mine = self.audience
        if mine.priority is None:
            return []
        rank = (-mine.priority, mine.audience)
        return [
            other for other in self.project.audiences
            if other.priority is not None and other.exclusive == mine.exclusive
            and (-other.priority, other.audience) < rank
        ]  # fmt: skip

    def _members_of_audiences(self, others: list[Audience]) -> exp.Query:
        """Everybody whom an audience of higher priority would take, whether or not another one of them takes them first."""
        parts: list[exp.Query] = []
        for other in others:
            alone = other.model_copy(update={"priority": None, "group": None})
            source = Source(self.project, self.dialect, alone).rows(values=False)
            wanted = (
                exp.select("o.user_id")
                .from_(source.subquery("o", copy=False))
                .where("o.left_out IS NULL AND o.problem IS NULL", copy=False)
            )
            parts.append(wanted)
        return _union(parts)


def _union(parts: Sequence[exp.Query], column: str = "user_id") -> exp.Query:
    whole: exp.Query = parts[0]
    for part in parts[1:]:
        whole = exp.union(whole, part, distinct=True, copy=False)
    return whole if len(parts) > 1 else exp.select(f"u.{column}").distinct().from_(whole.subquery("u", copy=False))


def _has(model: Model, name: str) -> bool:
    return any(known.lower() == name.lower() for known in model.columns)
