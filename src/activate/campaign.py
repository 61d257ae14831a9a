"""A campaign: rules/campaigns/*.yml as a frozen model."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from activate.policy import Class, Frozen, Name, TimeWindow
from activate.words import Duration, Instant, Limit, Share, Wait, WaitPhrase, parse_duration

DEFAULT_EXPIRY = 3 * 86_400


class Active(Frozen):
    """The campaign's life [from, until)."""

    from_: Instant | None = Field(None, alias="from")
    until: Instant | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Active:
        if self.from_ and self.until and self.until <= self.from_:
            raise ValueError("`until` must be later than `from`")
        return self


class Enter(Frozen):
    """Who enters: occurrences of a trigger, or people who enter (or leave) a segment."""

    trigger: str | None = None
    segment: str | None = None
    on: Literal["enter", "exit"] = "enter"
    where: str | None = Field(None, description="A boolean SQL expression over the model's columns.")
    since: Instant | None = Field(
        None, description="Also take occurrences from this time on, though before the launch."
    )
    max_lateness: Duration | None = Field(None, description="Overrides scan.max_lateness.")

    @model_validator(mode="after")
    def _one_source(self) -> Enter:
        if (self.trigger is None) == (self.segment is None):
            raise ValueError("name exactly one of `trigger` and `segment`")
        if self.trigger is not None and self.on == "exit":
            raise ValueError("`on: exit` goes with `segment`, not with `trigger`")
        if self.on == "exit" and self.where is not None:
            raise ValueError("`where` cannot be asked of people who left a segment: their rows are gone")
        return self

    @property
    def model(self) -> str:
        """The dbt model's name."""
        return self.trigger or self.segment or ""


class ReEnterAfter(Frozen):
    """Eligible again so long after the last send (one step) or the last entry (several steps)."""

    after: Duration


class Audience(Frozen):
    """Segments the person must (not) be in, at entry and, with `recheck`, when a step is due."""

    in_: tuple[str, ...] = Field((), alias="in")
    not_in: tuple[str, ...] = ()
    recheck: bool = Field(True, description="Ask again at each step; also whether the entry segment still holds.")


class ExceptionEvent(Frozen):
    """An event that ends the entry: at or after the occurrence, for the same person and the same match value."""

    event: str
    match: str | None = None
    where: str | None = Field(None, description="A boolean SQL expression over the events model's columns.")


class Variant(Frozen):
    """One arm of an experiment. Weights are relative."""

    name: Name
    weight: int = Field(1, ge=1)


class Step(Frozen):
    """One message: after `wait`, on the first of `channels` that reaches the person, before `expires`."""

    wait: WaitPhrase = Wait(seconds=0)
    channels: tuple[str, ...] = Field(min_length=1)
    template: str
    expires: Duration | None = Field(None, description="Counted from the same moment as the wait.")

    @property
    def expires_seconds(self) -> int:
        """Seconds from the anchor to expiry; by default three days after the longest possible wait."""
        return self.expires if self.expires is not None else self.wait.longest + DEFAULT_EXPIRY


class Goal(Frozen):
    """What the campaign is for; used by reports."""

    event: str
    within: Duration = parse_duration("3 days")
    value: str | None = None


class MessageGuard(Frozen):
    """How many messages of the campaign one tick may send; with more than that, it sends none of them."""

    max_messages: Limit

    def limit(self, people: int) -> int:
        """The most messages of one tick, where the profiles model has `people` rows."""
        if isinstance(self.max_messages, int):
            return self.max_messages
        return round(self.max_messages * 1_000_000) * people // 1_000_000

    @property
    def is_share(self) -> bool:
        """Whether the limit is a percentage of the profiles."""
        return isinstance(self.max_messages, float)


def _re_enter(value: object) -> object:
    if isinstance(value, str) and value not in ("never", "always"):
        raise ValueError(f"{value!r} is not allowed here; write `never`, `always` or `{{after: 7 days}}`")
    return value


ReEnter = Annotated[
    Literal["never", "always"] | ReEnterAfter,
    BeforeValidator(_re_enter),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["never", "always"]},
                {"type": "object", "properties": {"after": {"type": "string"}}, "required": ["after"]},
            ]
        }
    ),
]


class Campaign(Frozen):
    """rules/campaigns/NAME.yml."""

    campaign: Name
    description: str = ""
    owner: str | None = None
    priority: int = Field(50, ge=0, le=1000, description="Higher goes first where caps leave room for few.")
    class_: Class = Field("marketing", alias="class")
    tags: tuple[Name, ...] = ()
    active: Active = Active()
    enter: Enter
    re_enter: ReEnter = "never"
    on_retrigger: Literal["ignore", "restart", "stack"] = "ignore"
    match: str | None = Field(
        None, description="Which waiting entry a second trigger meets; default: the first exception's."
    )
    audience: Audience = Audience()
    exceptions: tuple[ExceptionEvent, ...] = ()
    control: Share | None = None
    variants: tuple[Variant, ...] = ()
    steps: tuple[Step, ...] = Field(min_length=1)
    time_window: TimeWindow | Literal["none"] | None = Field(
        None, description="Overrides the policy's; `none`: no window."
    )
    when_capped: Literal["drop", "wait"] = "drop"
    counts_toward_caps: bool | None = Field(None, description="Default: marketing counts, transactional does not.")
    guard: MessageGuard | None = None
    on_suppressed: Literal["advance", "exit"] = "advance"
    on_edit: Literal["keep", "adopt"] = Field("keep", description="Which version open entries follow after an edit.")
    goal: Goal | None = None

    @property
    def counts(self) -> bool:
        """Whether frequency caps count this campaign's messages."""
        return self.counts_toward_caps if self.counts_toward_caps is not None else self.class_ == "marketing"

    @property
    def is_journey(self) -> bool:
        """Whether re-entry is counted from the last entry (several steps) rather than the last send."""
        return len(self.steps) > 1

    @property
    def match_property(self) -> str | None:
        """The property whose value tells one waiting entry from another."""
        return self.match or next((exc.match for exc in self.exceptions if exc.match), None)

    def canonical(self) -> str:
        """The definition as JSON with sorted keys: what the version is a hash of."""
        return json.dumps(self.model_dump(mode="json", by_alias=True, exclude_defaults=True), sort_keys=True)

    @property
    def version(self) -> str:
        """Hash of the definition, without its description and owner (words that decide nothing)."""
        data = json.loads(self.canonical())
        data.pop("description", None)
        data.pop("owner", None)
        return hashlib.md5(json.dumps(data, sort_keys=True).encode(), usedforsecurity=False).hexdigest()[:12]

    def window(self, policy_window: TimeWindow | None) -> TimeWindow | None:
        """The time window that applies: none for transactional messages, else the campaign's or the policy's."""
        if self.class_ == "transactional" or self.time_window == "none":
            return None
        return self.time_window or policy_window
