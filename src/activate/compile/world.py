"""What compiling works on: the rules, one instant, where the state stands, and the models in canonical columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlglot import exp

from activate.bookmarks import Bookmark, Bookmarks, StoredVersion
from activate.campaign import Campaign
from activate.compile.sql import case, literal
from activate.expression import parse_where
from activate.policy import Channel, FrequencyCap, TimeWindow
from activate.project import Model, Project
from activate.warehouses.dialect import Dialect
from activate.words import Wait


@dataclass(frozen=True)
class Version:
    """A definition that some entries follow. `stored` is the version recorded in the entries; `removed`: no file.

    `match_property` is the one whose value the entries hold: that of the definition they entered by.
    """

    stored: str
    definition: Campaign
    match_property: str | None
    removed: bool = False


@dataclass(frozen=True)
class Moment:
    """One tick's instant and where the state stands: what differs between two ticks under the same rules."""

    now: dt.datetime
    settle: int
    bookmarks: Bookmarks

    @property
    def effective(self) -> dt.datetime:
        """`now` less the settling time: steps fall due by this instant."""
        return self.now - dt.timedelta(seconds=self.settle)

    def bookmark(self, campaign: str) -> Bookmark:
        """The campaign's bookmark; one that starts now for a campaign that was never seen."""
        return self.bookmarks.campaigns.get(campaign) or Bookmark(self.now, self.now, self.now, self.now)

    @property
    def live_from(self) -> dt.datetime:
        """The smallest `recorded_at` of any entry that may be open."""
        return self.bookmarks.live_from or self.now


class World:
    """The rules, the models and what is known of the past in kind: everything that the shape of the SQL depends on.

    `known` names the campaigns that have a bookmark; `suppressed` the channels that have suppressions, each with whether
    they are by person (what nobody is suppressed for is not asked about); `stored` are the versions that open entries follow, `past` those
    that none follows any more. Instants do
    not belong to it: a step asks for one by `time()` and gets a named constant, so that a plan outlives its tick.
    """

    def __init__(
        self,
        project: Project,
        dialect: Dialect,
        stored: tuple[StoredVersion, ...] = (),
        known: frozenset[str] = frozenset(),
        suppressed: frozenset[tuple[str, bool]] = frozenset(),
        past: tuple[StoredVersion, ...] = (),
    ) -> None:
        self.project = project
        self.dialect = dialect
        self.stored = stored
        self.past = past
        self.known = known
        self.suppressed = frozenset(subject for subject in suppressed if subject[0] in project.policy.channels)
        self.times: dict[str, Callable[[Moment], dt.datetime]] = {}
        versions = [sorted((each.version, each.definition.campaign) for each in kind) for kind in (stored, past)]
        models = sorted((name, repr(model)) for name, model in project.models.items())
        self._key = (project.version, str(models), dialect.dialect, str(versions), known, self.suppressed)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, World) and self._key == other._key

    @property
    def now(self) -> exp.Expr:
        """The tick's instant, as a constant."""
        return exp.Placeholder(this="now")

    def time(self, name: str, of: Callable[[Moment], dt.datetime]) -> exp.Expr:
        """An instant that follows from the moment, as a constant."""
        self.times[name] = of
        return exp.Placeholder(this=name)

    def ago(self, seconds: int) -> exp.Expr:
        """The instant so many seconds before the tick's, as a constant."""
        return self.time(f"ago_{seconds}", lambda moment: moment.now - dt.timedelta(seconds=seconds))

    @property
    def live_from(self) -> exp.Expr:
        """The smallest `recorded_at` of any entry that may be open, as a constant."""
        return self.time("live_from", lambda moment: moment.live_from)

    @property
    def campaigns(self) -> tuple[Campaign, ...]:
        """The campaigns with a file, by name."""
        return tuple(sorted(self.project.campaigns, key=lambda campaign: campaign.campaign))

    @property
    def caps(self) -> tuple[FrequencyCap, ...]:
        """The frequency caps in file order."""
        return self.project.policy.frequency_caps

    @cached_property
    def shared_channels(self) -> tuple[str, ...]:
        """The channels whose messages some cap counts by address, sorted."""
        return tuple(sorted({cap.channel for cap in self.caps if cap.by == "address" and cap.channel}))

    @property
    def channels(self) -> dict[str, Channel]:
        """The channels by name, in file order."""
        return dict(self.project.policy.channels)

    @cached_property
    def versions(self) -> tuple[Version, ...]:
        """Every version that an open entry may follow, current ones included."""
        current = [Version(each.version, each, each.match_property) for each in self.campaigns]
        found = current + self._older(self.stored)
        return tuple(sorted(found, key=lambda version: (version.definition.campaign, version.stored)))

    @cached_property
    def past_versions(self) -> tuple[Version, ...]:
        """Every other version that was ever in force: that of entries which are all over."""
        return tuple(self._older(self.past))

    def _older(self, stored: tuple[StoredVersion, ...]) -> list[Version]:
        """Of these versions those that are not the campaign's own, as entries that entered by them follow them now."""
        current = {campaign.campaign: campaign for campaign in self.campaigns}
        found = []
        for version in stored:
            here = current.get(version.definition.campaign)
            if here is not None and here.version == version.version:
                continue
            definition = here if here is not None and here.on_edit == "adopt" else version.definition
            match = version.definition.match_property
            found.append(Version(version.version, definition, match, removed=here is None))
        return found

    def window(self, campaign: Campaign) -> TimeWindow | None:
        """The time window that applies to a campaign, if any."""
        return campaign.window(self.project.policy.time_window)

    def fallback_zone(self, campaign: Campaign) -> str:
        """The zone of people whose own is unknown, for this campaign's waits and window."""
        window = campaign.time_window if isinstance(campaign.time_window, TimeWindow) else None
        return _or_utc(window or self.project.policy.time_window)

    @property
    def policy_zone(self) -> str:
        """The zone of people whose own is unknown, for calendar caps."""
        return _or_utc(self.project.policy.time_window)

    @cached_property
    def windows(self) -> dict[str, TimeWindow]:
        """The distinct windows in use, by a short id."""
        distinct = {window: None for version in self.versions if (window := self.window(version.definition))}
        return {f"w{number}": window for number, window in enumerate(distinct)}

    def window_id(self, campaign: Campaign) -> str | None:
        """The id of the campaign's window."""
        window = self.window(campaign)
        return next((key for key, value in self.windows.items() if value == window), None)

    @cached_property
    def trigger_windows(self) -> dict[str, str]:
        """By campaign with a file: the id of the window that has to be open when the trigger happens."""
        return {
            campaign.campaign: self.window_id(campaign) or ""
            for campaign in self.campaigns
            if (window := self.window(campaign)) and window.triggered_outside == "drop"
        }

    @cached_property
    def local_waits(self) -> dict[str, Wait]:
        """The distinct waits that end at a local time, by their phrase."""
        waits = [step.wait for version in self.versions for step in version.definition.steps]
        return {str(wait): wait for wait in waits if wait.is_local}

    def zones(self, in_use: Sequence[str]) -> tuple[str, ...]:
        """Every zone that some question is asked about: those in use and those that rules name."""
        extra = {self.policy_zone, *(self.fallback_zone(version.definition) for version in self.versions)}
        extra |= {window.zone for window in self.windows.values() if window.zone != "recipient"}
        return tuple(sorted(extra | set(in_use)))

    # -- models in canonical columns --------------------------------------------------------------------------------

    def model(self, name: str) -> Model:
        """A model by name."""
        return self.project.models[name]

    def text(self, model: Model, column: str, alias: str = "t") -> exp.Expr:
        """A model's column as TEXT."""
        return self.dialect.text(column_of(model, column, alias), type_of(model, column, "text"))

    def instant(self, model: Model, column: str, alias: str = "t") -> exp.Expr:
        """A model's time column as a UTC TIMESTAMP."""
        return self.dialect.instant(column_of(model, column, alias), type_of(model, column, "timestamp"))

    def where(self, model: Model, text: str) -> exp.Expr:
        """A user's `where:` as a tree over alias `t`."""
        found = parse_where(text, columns=model.columns or None, dialect=self.dialect.dialect)
        for column in found.find_all(exp.Column):
            column.set("table", exp.to_identifier("t"))
        return exp.paren(found)

    def property_text(self, model: Model, name: str) -> exp.Expr:
        """A property as TEXT: a column of the model, or a member of the events model's JSON column."""
        events = self.project.policy.events
        if model.name == events.model and events.properties and _find(model, name) is None:
            return self.dialect.json_text(column_of(model, events.properties, "t"), name)
        return self.text(model, name)

    @cached_property
    def models(self) -> Mapping[str, exp.Query]:
        """`model.profiles` in canonical columns: user_id, time_zone, has_<n> and ok_<n> per channel.

        Channels with suppressions also have address_<n> and registered_<n>; the address is hashed where it is compared,
        for the few who are candidates. Channels with a cap by address have address_<n> too.
        """
        profiles = self.project.policy.profiles
        model = self.model(profiles.model)
        zone = self.text(model, profiles.time_zone) if profiles.time_zone else exp.cast(exp.null(), "TEXT")
        query = exp.select(self.text(model, profiles.key).as_("user_id"), zone.as_("time_zone"), copy=False)
        for number, (name, channel) in enumerate(self.channels.items()):
            address = self.text(model, channel.address)
            has = exp.and_(address.is_(exp.null()).not_(), exp.NEQ(this=address.copy(), expression=literal("")))
            query = query.select(
                has.as_(f"has_{number}"),
                exp.and_(has.copy(), consent(self.dialect, model, channel)).as_(f"ok_{number}"),
                copy=False,
            )
            if (name, False) in self.suppressed or name in self.shared_channels:
                query = query.select(address.copy().as_(f"address_{number}"), copy=False)
            if channel.registered is not None and any(name == where for where, _ in self.suppressed):
                registered = self.instant(model, channel.registered)
                query = query.select(registered.as_(f"registered_{number}"), copy=False)
        return {"profiles": query.from_(model.relation.table("t"), copy=False)}

    def row_json(self, model: Model) -> exp.Expr:
        """The whole row of a model (alias `t`) as JSON text; NaN and infinities, which JSON lacks, become null."""
        pairs = {name: finite(column_of(model, name, "t"), kind) for name, kind in model.columns.items()}
        return self.dialect.json_object(pairs)

    def provider(self, channel: exp.Expr) -> exp.Expr:
        """The provider of a channel given as an expression."""
        return case((channel.copy().eq(literal(name)), literal(made.provider)) for name, made in self.channels.items())


def consent(dialect: Dialect, model: Model, channel: Channel) -> exp.Expr:
    """Whether a row of the profiles (alias `t`) agrees to a channel; never NULL."""
    if channel.consent is None:
        return exp.true()
    found = column_of(model, channel.consent, "t")
    type_name = type_of(model, channel.consent, "text")
    if type_name.startswith("bool"):
        return exp.func("COALESCE", found, exp.false())
    allowed = exp.In(
        this=dialect.text(found, type_name), expressions=[literal(value) for value in channel.consent_values]
    )
    return exp.func("COALESCE", allowed, exp.false())


def _or_utc(window: TimeWindow | None) -> str:
    return "UTC" if window is None or window.unknown_zone == "suppress" else window.unknown_zone


def _find(model: Model, name: str) -> str | None:
    """The column's real spelling, found as the warehouse would find it."""
    if name in model.columns:
        return name
    return next((column for column in model.columns if column.lower() == name.lower()), None)


def column_of(model: Model, name: str, alias: str) -> exp.Expr:
    """A model's column, spelled as the warehouse has it."""
    return exp.column(exp.to_identifier(_find(model, name) or name, quoted=True), table=alias)


def type_of(model: Model, name: str, default: str) -> str:
    """A column's type name in lower case; `default` where the warehouse was not asked."""
    found = _find(model, name)
    return model.columns[found].lower() if found else default


def finite(column: exp.Expr, kind: str) -> exp.Expr:
    """A column with NULL in place of NaN and infinities, which JSON lacks."""
    if not kind.startswith(("float", "double", "real")):
        return column
    odd = ("nan", "inf", "-inf", "infinity", "-infinity")
    written = exp.func("LOWER", exp.cast(column.copy(), "TEXT"))
    return case([(written.isin(*odd), exp.null())], column)
