-- The same world once more, from the raw stream alone and with the rules stated by hand: what the claims compare the
-- engine's tables with. Nothing here reads a dbt model or a rules file. complete_journey/facts.sql says what each means.

create schema facts;

create table facts.ticks as select now, as_of from raw.ticks;

create table facts.campaigns (
    campaign text, class text, priority int, last_step int, re_enter_seconds bigint, counts boolean,
    control_cut text, active_from timestamp, active_until timestamp, since timestamp, lateness_seconds bigint,
    tags text, retrigger text, waits_for_caps boolean,
    exits_when_suppressed boolean
);
insert into facts.campaigns values
    ('cart_abandoned', 'marketing', 70, 1, 172800, true, '1999999999', null, null, null, 7200, '["cart"]', 'restart', false, false),
    ('cart_last_call', 'marketing', 40, 2, 604800, true, null, null, null, null, 7200, '["cart"]', 'ignore', true, false),
    ('payment_help', 'transactional', 90, 1, 86400, false, null, null, null, null, 7200, '[]', 'ignore', false, false),
    ('wish_list', 'marketing', 30, 1, 0, true, null, null, null, null, 7200, '["wishes"]', 'stack', false, false),
    ('browsing_offer', 'marketing', 50, 2, 432000, true, '3333333333', null, null, null, null, '["offer"]', 'ignore', false, true);

create table facts.global_control (cut text);
insert into facts.global_control values ('');

create table facts.variants (campaign text, variant text, from_cut text, to_cut text);
insert into facts.variants values ('cart_last_call', 'short', '', '8'), ('cart_last_call', 'long', '8', 'g');

create table facts.steps (
    campaign text, step int, wait_seconds bigint, wait_days int, wait_weekday int, wait_clock time, expires_seconds bigint
);
insert into facts.steps values
    ('cart_abandoned', 1, 1800, null, null, null, 86400),
    ('cart_last_call', 1, null, 1, null, '10:00', 439200),
    ('cart_last_call', 2, null, null, 5, '18:00', 957600),
    ('payment_help', 1, 600, null, null, null, 21600),
    ('wish_list', 1, 10800, null, null, null, 604800),
    ('browsing_offer', 1, 3600, null, null, null, 262800),
    ('browsing_offer', 2, null, 2, null, '19:00', 345600);

create table facts.step_channels (campaign text, step int, place int, channel text);
insert into facts.step_channels values
    ('cart_abandoned', 1, 1, 'push'), ('cart_abandoned', 1, 2, 'email'),
    ('cart_last_call', 1, 1, 'email'), ('cart_last_call', 1, 2, 'push'),
    ('cart_last_call', 2, 1, 'push'), ('cart_last_call', 2, 2, 'email'),
    ('payment_help', 1, 1, 'email'), ('payment_help', 1, 2, 'push'),
    ('wish_list', 1, 1, 'email'),
    ('browsing_offer', 1, 1, 'push'), ('browsing_offer', 1, 2, 'email'), ('browsing_offer', 2, 1, 'email');

create table facts.windows (
    campaign text, open_at time, close_at time, weekdays text, zone text, unknown_zone text, drops boolean
);
insert into facts.windows values
    ('cart_abandoned', '08:00', '21:30', '1234567', null, 'Europe/Berlin', false),
    ('cart_last_call', '08:00', '21:30', '1234567', null, 'Europe/Berlin', false),
    ('browsing_offer', '08:00', '21:30', '1234567', null, 'Europe/Berlin', false),
    ('wish_list', '09:00', '13:00', '67', null, null, false);

create table facts.policy (unknown_zone text, settle_seconds int);
insert into facts.policy values ('Europe/Berlin', 0);

create table facts.caps (number int, most int, seconds bigint, calendar text, channel text, tag text, campaign text, class text);
insert into facts.caps values
    (0, 1, 86400, null, null, 'cart', null, null),
    (1, 2, null, 'day', null, null, null, null),
    (2, 3, 604800, null, null, null, null, null),
    (3, 1, null, 'week', null, null, 'browsing_offer', null);

create table facts.people as
select user_id, 1 as profiles,
    case number % 12
        when 0 then 'Europe/London' when 1 then 'Europe/Berlin' when 2 then 'Europe/Istanbul' when 3 then 'Africa/Cairo'
        when 4 then 'Africa/Casablanca' when 5 then 'Asia/Dubai' when 6 then 'Asia/Kolkata' when 7 then 'Asia/Singapore'
        when 8 then 'America/New_York' when 9 then 'America/Santiago'
    end as zone,
    case number % 12 when 10 then 'zone_invalid' when 11 then 'zone_missing' end as zone_problem
from (select distinct user_id, cast(right(user_id, 4) as int) as number from raw.events) as people;

create table facts.reach as
select user_id, channel,
    case channel when 'email' then cast(right(user_id, 4) as int) % 9 > 0 else cast(right(user_id, 4) as int) % 2 = 0 end as has_address,
    case channel when 'email' then cast(right(user_id, 4) as int) % 8 > 0 else cast(right(user_id, 4) as int) % 6 > 0 end as has_consent
from facts.people
cross join (select 'email' as channel union all select 'push') as channels;

-- A row that was sent twice is one event, loaded when the first of the two was.
create table facts.events as
select user_id || '|' || session_id || '|' || event || '|' || "timestamp" as event_id, user_id, session_id, event,
    platform, "timestamp" as happened_at,
    min("timestamp" + interval '1 minute' * case when cast(right(session_id, 6) as int) % 23 = 0 then 180 else 1 + line % 9 end)
        as landed_at
from raw.events
group by user_id, session_id, event, platform, "timestamp";

create table facts.members as
select 'undecided' as segment, as_of, user_id, count(distinct session_id) as baskets
from (select distinct as_of from facts.ticks) as days
join facts.events on landed_at <= as_of and happened_at <= as_of and happened_at + interval '7 days' > as_of
group by as_of, user_id
having count(distinct session_id) >= 3 and count(*) filter (where event = 'purchase') = 0;

create table facts.occurrences as
select campaigns.campaign, user_id, event_id as occurrence_id, happened_at as entered_at, landed_at as seen_from,
    case when campaigns.campaign in ('cart_abandoned', 'payment_help') then session_id end as match_key
from facts.events
join (values
    ('cart_abandoned', 'add_to_cart'), ('cart_last_call', 'add_to_cart'), ('payment_help', 'payment_error'),
    ('payment_help', 'checkout_bug'), ('wish_list', 'wishlist_add')
) as campaigns (campaign, event) on campaigns.event = events.event
where happened_at >= (select min(now) from facts.ticks)
    and not (campaigns.campaign = 'cart_last_call' and platform = 'tablet');

create table facts.exceptions as
select campaigns.campaign, user_id, event_id, happened_at, landed_at, case when matched then session_id else '' end as match_key
from facts.events
cross join (values ('cart_abandoned', true), ('payment_help', true), ('cart_last_call', false)) as campaigns (campaign, matched)
where event = 'purchase';

create table facts.entered_by_segment (campaign text, segment text, change text, at_least int);
insert into facts.entered_by_segment values ('browsing_offer', 'undecided', 'enter', 3);

create table facts.kept_out (campaign text, segment text);

create table facts.history (message_id text, user_id text, queued_at timestamp);
