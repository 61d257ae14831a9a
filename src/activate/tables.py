"""The state tables: their columns, types and meanings, in one place.

DDL, the dbt source declaration and docs/state-tables.md are all made from `TABLES`. Types are DuckDB names that sqlglot
prints for every warehouse. All times are UTC and stored as TIMESTAMP without a zone. State is append-only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column of a state table. `type` is TEXT, BIGINT, BOOLEAN or TIMESTAMP.

    `many` marks texts that are different in nearly every row, such as ids.
    """

    name: str
    type: str
    doc: str
    nullable: bool = True
    many: bool = False


@dataclass(frozen=True)
class Table:
    """One append-only state table. `indexes` are made where the warehouse has indexes."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    indexes: tuple[tuple[str, ...], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The column names in order."""
        return tuple(column.name for column in self.columns)


def _text(name: str, doc: str, nullable: bool = True) -> Column:
    return Column(name, "TEXT", doc, nullable)


def _id(name: str, doc: str, nullable: bool = False) -> Column:
    return Column(name, "TEXT", doc, nullable, many=True)


def _time(name: str, doc: str, nullable: bool = True) -> Column:
    return Column(name, "TIMESTAMP", doc, nullable)


def _flag(name: str, doc: str) -> Column:
    return Column(name, "BOOLEAN", doc, False)


def _count(name: str, doc: str, nullable: bool = True) -> Column:
    return Column(name, "BIGINT", doc, nullable)


_RUN = _text("run_id", "The run that wrote the row.", False)

ENTRIES = Table(
    "entries",
    "One person's passage through one campaign, begun by one occurrence.",
    (
        _id("entry_id", "md5(campaign | user_id | occurrence_id)."),
        _text("campaign", "The campaign's name.", False),
        _id("user_id", "The person's key in the profiles model, as text."),
        _id("occurrence_id", "The trigger's event id, or a made-up id of the segment's change."),
        _time("entered_at", "When the occurrence happened (not when it was seen).", False),
        _text("variant", "The variant assigned by hash; null when the campaign has none."),
        _flag("is_control", "Whether the person is held back, by the campaign's control group or the global one."),
        _text("context", "JSON of the row that brought the person in."),
        _text("rules_version", "Hash of the whole rule set at entry.", False),
        _RUN,
        _time("recorded_at", "The `now` of the tick that saw the occurrence.", False),
        _text("campaign_version", "Hash of the campaign's definition that this entry follows.", False),
        _text("control_group", "`campaign` or `global` for a person held back; null otherwise."),
        _text("match_key", "The occurrence's value of the campaign's match property; null when it has none."),
    ),
    (("recorded_at",), ("entry_id",), ("user_id",)),
)

DECISIONS = Table(
    "decisions",
    "A candidate's outcome: one row each time the outcome is new. Step 0 is a refusal at the door (no entry was made).",
    (
        _id("entry_id", "The entry (for step 0: the entry that would have been)."),
        _id("message_id", "The message; null unless the outcome is `send`.", True),
        _text("campaign", "The campaign's name.", False),
        _count("step", "The step, counted from 1; 0 for a refusal at the door.", False),
        _id("user_id", "The person's key."),
        _text("channel", "The channel chosen; null where none was chosen yet."),
        _text("outcome", "`send`, `defer`, `suppress` or `withhold`.", False),
        _text("gate", "The gate that decided.", False),
        _text("reason", "The reason, from the closed vocabulary of docs/rules.md.", False),
        _time("retry_at", "For `defer`: when the candidate is expected to pass."),
        _RUN,
        _time("decided_at", "The `now` of the tick.", False),
        _time("due_at", "When the step's wait was over."),
        _text("rule", "The rule that decided, as its path in the rules files, e.g. `frequency_caps[0]`."),
        _text(
            "evidence",
            "The id of the row that decided: an event id, a message id or an entry id; for a guard, its limit as a number.",
        ),
        _count("observed", "The figure that was compared with the rule's limit."),
        _text("zone", "The IANA zone used, when local time was asked about."),
        _flag("ends_entry", "Whether the entry is over with this decision."),
    ),
    (("decided_at",), ("entry_id",), ("user_id",)),
)

MESSAGES = Table(
    "messages",
    "The outbox: one row for each decision to send.",
    (
        _id("message_id", "md5(entry_id | step | channel); also the idempotency key."),
        _id("entry_id", "The entry."),
        _text("campaign", "The campaign's name.", False),
        _count("step", "The step, counted from 1.", False),
        _text("variant", "The entry's variant."),
        _id("user_id", "The person's key."),
        _text("channel", "The channel.", False),
        _text("provider", "The provider's name in rules/activate.yml.", False),
        _text("class", "`marketing` or `transactional`.", False),
        _text("tags", "JSON list of the campaign's tags when the message was queued.", False),
        _time("expires_at", "From this instant on the message is no longer sent.", False),
        _RUN,
        _time("queued_at", "The `now` of the tick; what frequency caps count by.", False),
        _time("send_by", "When the person's time window closes; null where no window applies."),
        _flag("counts_toward_caps", "Whether frequency caps count the message."),
        _text("template", "The template's name.", False),
        _count("priority", "The campaign's priority.", False),
    ),
    (("queued_at",), ("message_id",), ("user_id",)),
)

DELIVERIES = Table(
    "deliveries",
    "One attempt to hand a message to a provider, and what came back: a `claimed` row before, an outcome row after.",
    (
        _id("message_id", "The message."),
        _count("attempt", "The attempt, counted from 1.", False),
        _text("status", "`claimed`, `accepted`, `rejected`, `failed`, `unknown`, `aborted` or `expired`.", False),
        _text("provider", "The provider's name.", False),
        _text("provider_message_id", "The provider's own id, where it answers with one."),
        _text("error_code", "A short code of what went wrong, e.g. `http_429`, `consent_withdrawn`."),
        _text("error", "What went wrong, without addresses or bodies."),
        _RUN,
        _time("recorded_at", "When the row was written.", False),
        _flag("final", "Whether this is the message's last row: nothing more will be tried."),
    ),
    (("message_id",), ("recorded_at",)),
)

ENGAGEMENTS = Table(
    "engagements",
    "What providers told about messages afterwards: opens, clicks, bounces, complaints, opt-outs. One row for each event, "
    "however often it was told.",
    (
        _id("event_id", "The provider's id of the event, or a hash of what it told."),
        _text("provider", "The name of the section of `ingest:` that it came through.", False),
        _text(
            "name",
            "`delivered`, `deferred`, `bounced`, `dropped`, `failed`, `opened`, `clicked`, `complained`, `unsubscribed`, "
            "`resubscribed`, `replied`, `impression`, `dismissed` or `converted`.",
            False,
        ),
        _id("message_id", "The message; null where the event belongs to none of ours.", True),
        _id("provider_message_id", "The provider's own id of the message, where it was told.", True),
        _id("user_id", "The message's person, or whom the provider named.", True),
        _text("channel", "The channel, where it is known."),
        _time("occurred_at", "When it happened, by the provider; never later than it was received.", False),
        _flag(
            "is_machine",
            "Whether a machine did it, as far as the provider tells, e.g. an open by a mail privacy proxy.",
        ),
        _text("bounce_kind", "`hard` or `soft`, for a bounce."),
        _text("code", "The provider's short code of the cause, e.g. `5.1.1` or `30007`."),
        _RUN,
        _time("loaded_at", "When the row was written.", False),
    ),
    (("event_id",), ("message_id",), ("loaded_at",)),
)

SUPPRESSIONS = Table(
    "suppressions",
    "Addresses (or persons) that a channel is not to be used for, and their release. docs/rules.md, section 9, says what holds.",
    (
        _text("channel", "The channel.", False),
        _id("address_hash", "SHA-256 of the address in its uniform form; null when it is by person.", True),
        _id("user_id", "The person, whatever the address; null when it is by address.", True),
        _text("reason", "`unregistered`, `hard_bounce`, `opted_out` or `complained`.", False),
        _text("status", "`suppressed` or `released`.", False),
        _text("provider", "Who told: a provider's name, or a section of `ingest:`.", False),
        _id("message_id", "The message that it was told about.", True),
        _time("occurred_at", "When it happened.", False),
        _RUN,
        _time("recorded_at", "When the row was written.", False),
    ),
    (("address_hash",),),
)

MEMBERSHIPS = Table(
    "memberships",
    "What entered and left each segment from tick to tick.",
    (
        _text("segment", "The segment's model name.", False),
        _id("user_id", "The person's key."),
        _text("change", "`enter` or `exit`.", False),
        _RUN,
        _time("changed_at", "The `now` of the tick that saw the change.", False),
    ),
    (("segment", "user_id"),),
)

AUDIENCE_CHANGES = Table(
    "audience_changes",
    "What was sent to each audience's destination, and what the destination acknowledged. A change is `claimed` before it is "
    "sent; the row with its outcome has the same `wave`.",
    (
        _text("audience", "The audience's name.", False),
        _text("destination", "The destination's name.", False),
        _id("member", "What the destination knows the person by: the person's key, or a hashed identifier."),
        _id("user_id", "The person's key."),
        _text("change", "`add`, `update` or `remove`.", False),
        _id(
            "row_hash",
            "Hash of the mapped row; null for a removal, and where what the destination holds is not known.",
            True,
        ),
        _text("mapping_version", "Hash of the mapping that `row_hash` was made by."),
        _text(
            "status",
            "`claimed`, then `accepted`, `rejected` (final), `failed` (definitely not taken), `aborted` (the destination as a whole took nothing) or `unknown`; `baselined`: taken "
            "for acknowledged without being sent; `observed`: read back from the destination; `released`: a refused change is "
            "to be tried again; `invalid`: the row cannot be sent.",
            False,
        ),
        _text("error_code", "Why it was refused, failed or is invalid, as a short word."),
        _text("error", "What went wrong, without personal data."),
        _count("wave", "Counts the requests' waves of this audience, upwards; the order of its changes.", False),
        _RUN,
        _time("recorded_at", "The `now` of the run.", False),
    ),
    (("audience", "wave"), ("user_id",)),
)

AUDIENCE_MEMBERS = Table(
    "audience_members",
    "Who is at each audience's destination, summed up from the changes before a wave (`audience_syncs.first_wave`). A copy "
    "for speed: it can be made again from `audience_changes`.",
    (
        _text("audience", "The audience's name.", False),
        _text("destination", "The destination's name.", False),
        _count("generation", "Which copy; only the one named by the last row of `audience_syncs` counts.", False),
        _id("member", "What the destination knows the person by."),
        _id("user_id", "The person's key."),
        _flag("is_present", "Whether the destination holds the member, or may hold it."),
        _id("row_hash", "Hash of the row that the destination acknowledged; null where that is not known.", True),
        _text("mapping_version", "Hash of the mapping that `row_hash` was made by."),
        _text("refused_change", "The change that was refused for good, if any."),
        _text(
            "refused_hash", "Hash of the row that was refused; it is not sent again until it differs or is released."
        ),
        _count("attempts", "How often the change has failed since the last success.", False),
    ),
    (("audience", "generation"),),
)

AUDIENCE_SYNCS = Table(
    "audience_syncs",
    "One row for each sync of an audience.",
    (
        _text("audience", "The audience's name.", False),
        _text("destination", "The destination's name.", False),
        _text("status", "`synced`; `partial`: something was withheld, refused or failed; `stopped`: the destination could not "
              "be used; `compacted`: the copy of the members was made anew.", False),
        _text("mapping_version", "Hash of the mapping.", False),
        _count("generation", "The copy in `audience_members` that counts from here on; 0: none yet.", False),
        _count("first_wave", "The first wave that this copy does not contain.", False),
        _count("members", "How many members the copy holds.", False),
        _text("counts", "JSON of what the sync did and withheld.", False),
        _text("error", "Why it stopped, without personal data."),
        _RUN,
        _time("recorded_at", "The `now` of the run.", False),
    ),
    (("audience",),),
)  # fmt: skip

APPROVALS = Table(
    "approvals",
    "Leave that a person gave to pass a guard once, up to a ceiling, and its use.",
    (
        _id("approval_id", "The approval."),
        _text("subject", "`audience` or `campaign`.", False),
        _text("name", "The audience's or campaign's name.", False),
        _text("kind", "What may pass: `added`, `updated` or `removed` people, `messages`, or a source that is `stale` or `untested`.",
              False),
        _count("ceiling", "How many at most; more is withheld again.", False),
        _text("status", "`granted`, then `used` by the run that let it pass, or `revoked`.", False),
        _text("granted_by", "Who gave leave."),
        _time("expires_at", "When it lapses.", False),
        _text("run_id", "The run that used it; null for the leave itself."),
        _time("recorded_at", "When it was given or used.", False),
    ),
    (("name",),),
)  # fmt: skip

RUNS = Table(
    "runs",
    "One row for each tick, delivery, sync or ingestion that finished.",
    (
        _text("run_id", "The run.", False),
        _time("now", "The instant that the run decided about.", False),
        _time("started_at", "When the run began, by the machine's clock.", False),
        _time("finished_at", "When the run ended, by the machine's clock.", False),
        _text(
            "status",
            "`decided` for a tick, `delivered` for a delivery, `synced` for a sync of audiences, `ingested` for providers' events.",
            False,
        ),
        _text("rules_version", "Hash of the whole rule set.", False),
        _text("counts", "JSON of what the run did.", False),
    ),
    (("now",),),
)

SCANS = Table(
    "scans",
    "Up to where each campaign has read its trigger, and the oldest entry that was still open afterwards.",
    (
        _text("campaign", "The campaign's name.", False),
        _time("scanned_to", "The `now` of the last tick that read its trigger. The smallest one is its launch.", False),
        _time("decided_at", "The `now` of the tick.", False),
        _time("live_from", "The smallest recorded_at of the entries left open (the tick's `now` if none).", False),
        _RUN,
    ),
    (("campaign",),),
)

CAMPAIGN_VERSIONS = Table(
    "campaign_versions",
    "Each definition of a campaign that was ever in force, so that open entries finish the one they began with.",
    (
        _text("campaign", "The campaign's name.", False),
        _text("campaign_version", "Hash of the definition.", False),
        _text("definition", "The definition as canonical JSON.", False),
        _RUN,
        _time("recorded_at", "The `now` of the tick that first saw it.", False),
    ),
)

AUDITS = Table(
    "audits",
    "What came to light only after a decision, e.g. an exception event that was loaded too late.",
    (
        _id("entry_id", "The entry."),
        _id("message_id", "The message.", True),
        _text("kind", "`late_exception`.", False),
        _text("evidence", "The id of the row that came late.", False),
        _RUN,
        _time("recorded_at", "The `now` of the tick that saw it.", False),
    ),
)

META = Table(
    "meta",
    "The version of this schema.",
    (_count("version", "The migration that has been applied.", False), _time("applied_at", "When.", False)),
)

# Not among TABLES: it is made where several processes share a pace, is updated, and tells nothing of the past.
PACES = Table(
    "paces",
    "The pace of accounts that several processes use.",
    (
        _text("account", "The account.", False),
        _count("free_from", "From when on its requests are not reserved yet, in microseconds since 1970.", False),
    ),
)

TABLES: tuple[Table, ...] = (
    ENTRIES, DECISIONS, MESSAGES, DELIVERIES, ENGAGEMENTS, SUPPRESSIONS, MEMBERSHIPS, AUDIENCE_CHANGES, AUDIENCE_MEMBERS,
    AUDIENCE_SYNCS, APPROVALS, RUNS, SCANS, CAMPAIGN_VERSIONS, AUDITS, META,
)  # fmt: skip


def state_page() -> str:
    """docs/state-tables.md, made from `TABLES`."""
    parts = [
        "# The state tables\n\n<!-- Made from `activate.tables`; a test holds the two together. -->\n\n"
        "Activate keeps everything it knows in these tables, by default in the schema `activate` of the same warehouse. They "
        "are public: build\nmodels on them (they are declared as the dbt source `activate`). Rows are only ever added. All times "
        "are UTC, as TIMESTAMP without a zone.\nNo address, token, secret or rendered message is stored in any of them."
    ]
    for table in TABLES:
        lines = [f"## {table.name}\n\n{table.doc}\n", "| column | type | null | meaning |", "|---|---|---|---|"]
        for column in table.columns:
            doc = column.doc.replace("|", "\\|")
            lines.append(f"| {column.name} | {column.type} | {'yes' if column.nullable else ''} | {doc} |")
        parts.append("\n".join(lines))
    parts.append(
        "## Current state, by filters\n\n"
        "- *Is the entry over?* It has a decision with `ends_entry`.\n"
        "- *What was last said of a step?* The row of `decisions` with the latest `decided_at` for `entry_id` and `step`.\n"
        "- *Is the message done?* It has a row in `deliveries` with `final`.\n"
        "- *May an address be used?* Section 9 of docs/rules.md has the condition over `suppressions`.\n"
        "- *Who is in a segment?* Those with more `enter` than `exit` rows in `memberships`.\n"
        "- *As of a time:* filter on `recorded_at`, `decided_at`, `queued_at` or `changed_at`."
    )
    return "\n\n".join(parts) + "\n"
