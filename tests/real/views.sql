-- What the claims of both data sets ask of the state tables. Views, so that a tampered state is seen.

create view facts.life as
select min(now) as launch, max(now) as last, min(as_of) as first_as_of from facts.ticks;

create view facts.failed as
select distinct message_id from activate.deliveries
where final and status in ('rejected', 'failed', 'aborted', 'expired');

-- The zone by which a person's waits are told, by campaign.
create view facts.wait_zones as
select people.user_id, campaigns.campaign,
    coalesce(people.zone, case when windows.campaign is null then policy.unknown_zone else windows.unknown_zone end, 'UTC') as zone
from facts.people
cross join facts.campaigns
cross join facts.policy
left join facts.windows on windows.campaign = campaigns.campaign;

-- The zone by which a person's window is told: null where the person has none to go by.
create view facts.window_zones as
select people.user_id, windows.campaign, open_at, close_at, weekdays, drops, zone_problem,
    coalesce(windows.zone, people.zone, unknown_zone) as zone
from facts.people
cross join facts.windows;

create view facts.last_rows as
select entry_id, step, outcome, gate, reason, decided_at
from activate.decisions
where step > 0 and outcome <> 'defer';

-- From when each step of each entry counts its wait: the occurrence, or the step before, where that let it go on.
create view facts.anchors as
select entries.entry_id, entries.campaign, entries.user_id, cast(1 as bigint) as step,
    entries.entered_at as anchor, entries.recorded_at as not_before, false as strictly
from activate.entries
union all
select entries.entry_id, entries.campaign, entries.user_id, last_rows.step + 1,
    last_rows.decided_at, last_rows.decided_at, true
from facts.last_rows
join activate.entries on entries.entry_id = last_rows.entry_id
join facts.campaigns on campaigns.campaign = entries.campaign
where last_rows.step < campaigns.last_step
    and last_rows.gate not in ('active', 'exception', 'audience', 're_entry')
    and not (campaigns.exits_when_suppressed and last_rows.outcome = 'suppress');

create view facts.due as
select anchors.entry_id, anchors.campaign, anchors.user_id, anchors.step, anchors.anchor, not_before, strictly,
    case
        when steps.wait_seconds is not null then anchor + interval '1 second' * steps.wait_seconds
        when steps.wait_days is not null then
            ((cast(anchor at time zone 'UTC' at time zone wait_zones.zone as date) + steps.wait_days) + steps.wait_clock)
            at time zone wait_zones.zone at time zone 'UTC'
        else
            ((cast(anchor at time zone 'UTC' at time zone wait_zones.zone as date) + cast(1 + (
                steps.wait_weekday + 6 - extract(isodow from anchor at time zone 'UTC' at time zone wait_zones.zone)
            ) % 7 as int)) + steps.wait_clock)
            at time zone wait_zones.zone at time zone 'UTC'
    end as due_at,
    least(
        coalesce(campaigns.active_until, timestamp '9999-01-01'),
        anchor + interval '1 second' * steps.expires_seconds
    ) as expires_at
from facts.anchors
join facts.steps on steps.campaign = anchors.campaign and steps.step = anchors.step
join facts.campaigns on campaigns.campaign = anchors.campaign
join facts.wait_zones on wait_zones.user_id = anchors.user_id and wait_zones.campaign = anchors.campaign;

-- Entries with the value that an exception event must have to stop them; empty where any does.
create view facts.watched as
select entries.entry_id, entries.campaign, entries.user_id, entries.occurrence_id, entries.entered_at,
    case when keyed.campaign is null then '' else entries.match_key end as match_key
from activate.entries
left join (select distinct campaign from facts.exceptions where match_key <> '') as keyed
    on keyed.campaign = entries.campaign;

-- When each candidate that was decided about could next be messaged by its local window, seen from the decision.
create view facts.openings as
select decisions.entry_id, decisions.step, decisions.decided_at, min(opening) as opens_at
from activate.decisions
join facts.window_zones on window_zones.user_id = decisions.user_id and window_zones.campaign = decisions.campaign
cross join lateral (
    select cast(decided_at at time zone 'UTC' at time zone window_zones.zone as date) + ahead.days as day
    from (
        select 0 as days union all select 1 union all select 2 union all select 3 union all select 4
        union all select 5 union all select 6 union all select 7
    ) as ahead
) as days
cross join lateral (
    select (days.day + window_zones.open_at) at time zone window_zones.zone at time zone 'UTC' as opening
) as openings
where opening > decided_at and position(cast(extract(isodow from days.day) as text) in window_zones.weekdays) > 0
group by decisions.entry_id, decisions.step, decisions.decided_at;

-- Whether the local window was open, for each decision of a campaign that has one.
create view facts.local_times as
select *,
    case when open_at < close_at
        then local_clock >= open_at and local_clock < close_at and position(local_weekday in weekdays) > 0
        else local_clock >= open_at and position(local_weekday in weekdays) > 0
            or local_clock < close_at and position(day_before in weekdays) > 0
    end as is_open
from (
    select decisions.entry_id, decisions.step, decisions.message_id, decisions.decided_at, decisions.outcome,
        decisions.gate, decisions.reason, decisions.retry_at, window_zones.zone, zone_problem, drops,
        open_at, close_at, weekdays,
        cast(decided_at at time zone 'UTC' at time zone window_zones.zone as time) as local_clock,
        cast(extract(isodow from decided_at at time zone 'UTC' at time zone window_zones.zone) as text) as local_weekday,
        cast(extract(isodow from (decided_at at time zone 'UTC' at time zone window_zones.zone) - interval '1 day') as text)
            as day_before
    from activate.decisions
    join facts.window_zones on window_zones.user_id = decisions.user_id and window_zones.campaign = decisions.campaign
    where decisions.step > 0
) as local;

-- What each segment should have recorded: at the first tick that sees it, and at each tick that sees it otherwise.
create view facts.changes as
with builds as (
    select as_of, min(now) as changed_at, lag(as_of) over (order by as_of) as before, lead(as_of) over (order by as_of) as after
    from facts.ticks
    group by as_of
)
select segment, user_id, 'enter' as change, changed_at, baskets
from facts.members
join builds on builds.as_of = members.as_of
where not exists (
    select 1 from facts.members as earlier
    where earlier.segment = members.segment and earlier.user_id = members.user_id and earlier.as_of = builds.before
)
union all
select segment, user_id, 'exit', later.changed_at, baskets
from facts.members
join builds on builds.as_of = members.as_of
join builds as later on later.as_of = builds.after
where not exists (
    select 1 from facts.members as kept
    where kept.segment = members.segment and kept.user_id = members.user_id and kept.as_of = builds.after
);

-- Everything that should enter (or be refused at the door), and the tick that sees it first.
create view facts.expected as
select campaign, user_id, occurrence_id, entered_at, match_key,
    (select min(now) from facts.ticks where now >= seen_from) as seen_at
from facts.occurrences
where seen_from <= (select last from facts.life)
union all
select campaign, user_id,
    md5(changes.segment || '|' || user_id || '|' || changes.change || '|' || replace(cast(changed_at as text), ' ', 'T') || '.000000Z'),
    changed_at, null, changed_at
from facts.changes
join facts.entered_by_segment on entered_by_segment.segment = changes.segment
    and entered_by_segment.change = changes.change
    and changes.baskets >= entered_by_segment.at_least
where changed_at > (select launch from facts.life);

-- How full each frequency cap was that applied to a refused candidate, at its turn in its tick; and when there is room again.
create view facts.cap_figures as
select entry_id, step, decided_at, number, most, count(queued_at) as counted,
    case when seconds is not null then max(case when place = most then queued_at end) + interval '1 second' * seconds
        else (date_trunc(calendar, decided_at at time zone 'UTC' at time zone zone)
            + case calendar when 'day' then interval '1 day' when 'week' then interval '7 days' else interval '1 month' end)
            at time zone zone at time zone 'UTC'
    end as frees_at
from (
    select refused.entry_id, refused.step, refused.decided_at, caps.number, caps.most, caps.seconds, caps.calendar,
        coalesce(people.zone, policy.unknown_zone) as zone, messages.queued_at,
        row_number() over (
            partition by refused.entry_id, refused.step, refused.decided_at, caps.number order by messages.queued_at desc
        ) as place
    from activate.decisions as refused
    join facts.campaigns on campaigns.campaign = refused.campaign
    join facts.people on people.user_id = refused.user_id
    cross join facts.policy
    join facts.caps on (caps.channel is null or caps.channel = refused.channel)
        and (caps.tag is null or position('"' || caps.tag || '"' in campaigns.tags) > 0)
        and (caps.campaign is null or caps.campaign = refused.campaign)
        and (caps.class is null or caps.class = campaigns.class)
    left join (
        select messages.*, ticked.due_at, (
            select min(recorded_at) from activate.deliveries
            where deliveries.message_id = messages.message_id and final
                and status in ('rejected', 'failed', 'aborted', 'expired')
        ) as failed_at
        from activate.messages
        left join activate.decisions as ticked on ticked.message_id = messages.message_id
        where counts_toward_caps
    ) as messages on messages.user_id = refused.user_id
        and (caps.channel is null or caps.channel = messages.channel)
        and (caps.tag is null or position('"' || caps.tag || '"' in messages.tags) > 0)
        and (caps.campaign is null or caps.campaign = messages.campaign)
        and (caps.class is null or caps.class = messages.class)
        and (messages.failed_at is null or messages.failed_at >= refused.decided_at)
        and (messages.queued_at < refused.decided_at or messages.queued_at = refused.decided_at and (
            messages.class = 'transactional'
            or messages.priority > campaigns.priority
            or messages.priority = campaigns.priority
                and (messages.due_at, messages.campaign, messages.entry_id)
                    < (refused.due_at, refused.campaign, refused.entry_id)
        ))
        and case
            when caps.seconds is not null then messages.queued_at > refused.decided_at - interval '1 second' * caps.seconds
            else date_trunc(caps.calendar, messages.queued_at at time zone 'UTC' at time zone coalesce(people.zone, policy.unknown_zone))
                = date_trunc(caps.calendar, refused.decided_at at time zone 'UTC' at time zone coalesce(people.zone, policy.unknown_zone))
        end
    where refused.gate = 'caps'
) as counted
group by entry_id, step, decided_at, number, most, seconds, calendar, zone;
