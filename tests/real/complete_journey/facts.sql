-- The same world once more, from the raw tables alone and with the rules stated by hand: what the claims compare the
-- engine's tables with. Nothing here reads a dbt model or a rules file.

create schema facts;

create table facts.ticks as select now, as_of from raw.ticks;

create table facts.campaigns (
    campaign text, class text, priority int, last_step int, re_enter_seconds bigint, counts boolean,
    control_cut text, active_from timestamp, active_until timestamp, since timestamp, lateness_seconds bigint,
    tags text, retrigger text, waits_for_caps boolean,
    exits_when_suppressed boolean
);
-- re_enter_seconds: null is never, 0 always. control_cut: the share as the first digits of a fraction in base 16.
insert into facts.campaigns values
    ('category_welcome', 'marketing', 40, 1, 432000, true, '1999999999', null, null, '2017-10-20', 86400, '["promotion"]', 'ignore', true, false),
    ('basket_thanks', 'marketing', 60, 1, 259200, true, null, null, null, null, 86400, '["thanks"]', 'restart', false, false),
    ('mailed_not_redeemed', 'marketing', 70, 1, null, true, '3333333333', '2017-10-27', '2017-11-07 02:00:00', null, 86400, '["promotion", "reminder"]', 'ignore', true, false),
    ('win_back', 'marketing', 30, 3, 864000, true, null, null, null, null, null, '["winback"]', 'ignore', false, false),
    ('receipt', 'transactional', 90, 1, 0, false, null, null, null, null, 21600, '[]', 'stack', false, false),
    ('redemption_thanks', 'transactional', 80, 1, 0, true, null, null, null, null, 86400, '[]', 'ignore', false, false),
    ('high_spender_fades', 'marketing', 20, 1, null, true, null, null, null, null, null, '["promotion", "reminder"]', 'ignore', false, false);

create table facts.global_control (cut text);
insert into facts.global_control values ('051eb851eb');

create table facts.variants (campaign text, variant text, from_cut text, to_cut text);
insert into facts.variants values
    ('category_welcome', 'plain', '', '5555555555'), ('category_welcome', 'recipe', '5555555555', 'g');

create table facts.steps (
    campaign text, step int, wait_seconds bigint, wait_days int, wait_weekday int, wait_clock time, expires_seconds bigint
);
insert into facts.steps values
    ('category_welcome', 1, null, 1, null, '10:00', 259200),
    ('basket_thanks', 1, 1800, null, null, null, 172800),
    ('mailed_not_redeemed', 1, null, 1, null, '18:00', 345600),
    ('win_back', 1, 7200, null, null, null, 86400),
    ('win_back', 2, null, 2, null, '10:00', 525600),
    ('win_back', 3, null, null, 6, '11:00', 957600),
    ('receipt', 1, 0, null, null, null, 28800),
    ('redemption_thanks', 1, 1200, null, null, null, 260400),
    ('high_spender_fades', 1, 118800, null, null, null, 378000);

create table facts.step_channels (campaign text, step int, place int, channel text);
insert into facts.step_channels values
    ('category_welcome', 1, 1, 'email'), ('category_welcome', 1, 2, 'push'),
    ('basket_thanks', 1, 1, 'push'), ('basket_thanks', 1, 2, 'sms'),
    ('mailed_not_redeemed', 1, 1, 'email'), ('mailed_not_redeemed', 1, 2, 'sms'), ('mailed_not_redeemed', 1, 3, 'push'),
    ('win_back', 1, 1, 'email'), ('win_back', 2, 1, 'push'), ('win_back', 2, 2, 'email'),
    ('win_back', 3, 1, 'sms'), ('win_back', 3, 2, 'email'),
    ('receipt', 1, 1, 'email'),
    ('redemption_thanks', 1, 1, 'push'), ('redemption_thanks', 1, 2, 'email'),
    ('high_spender_fades', 1, 1, 'sms'), ('high_spender_fades', 1, 2, 'push'), ('high_spender_fades', 1, 3, 'email');

-- weekdays: 1 is Monday. unknown_zone: null is `suppress`. Campaigns that are not here have no window.
create table facts.windows (
    campaign text, open_at time, close_at time, weekdays text, zone text, unknown_zone text, drops boolean
);
insert into facts.windows values
    ('category_welcome', '09:00', '20:00', '1234567', null, 'America/New_York', false),
    ('mailed_not_redeemed', '09:00', '20:00', '1234567', null, 'America/New_York', false),
    ('win_back', '09:00', '20:00', '1234567', null, 'America/New_York', false),
    ('basket_thanks', '17:00', '00:30', '4567', null, null, false),
    ('high_spender_fades', '09:00', '17:00', '12345', 'America/Chicago', null, true);

-- The zone of people whose own is not known: for calendar caps, and for the waits of campaigns without a window.
create table facts.policy (unknown_zone text, settle_seconds int);
insert into facts.policy values ('America/New_York', 600);

create table facts.caps (number int, most int, seconds bigint, calendar text, channel text, tag text, campaign text, class text);
insert into facts.caps values
    (0, 2, 86400, null, null, null, null, null),
    (1, 1, 43200, null, 'push', null, null, null),
    (2, 1, null, 'day', null, 'promotion', null, null),
    (3, 2, 604800, null, 'email', null, null, null),
    (4, 3, null, 'week', null, null, null, null),
    (5, 5, null, 'month', null, null, null, 'marketing'),
    (6, 1, null, 'week', null, null, 'category_welcome', null);

-- -- people ----------------------------------------------------------------------------------------------------------

create table facts.zones (remainder int, zone text);
insert into facts.zones values
    (0, 'America/New_York'), (1, 'America/Chicago'), (2, 'America/Denver'), (3, 'America/Los_Angeles'),
    (4, 'America/Phoenix'), (5, 'Pacific/Honolulu'), (6, 'America/Sao_Paulo'), (7, 'America/St_Johns'),
    (8, 'Europe/London'), (9, 'Europe/Berlin'), (10, 'Europe/Athens'), (11, 'Africa/Lagos'), (12, 'Asia/Gaza'),
    (13, 'Asia/Tehran'), (14, 'Asia/Kolkata'), (15, 'Asia/Kathmandu'), (16, 'Asia/Tokyo'),
    (17, 'Australia/Lord_Howe'), (18, 'Pacific/Auckland'), (19, 'Pacific/Apia'), (20, 'Pacific/Chatham'), (21, 'UTC');

create table facts.people as
select
    cast(number as text) as user_id,
    case when number % 97 = 0 then 0 when number % 101 = 0 then 2 else 1 end as profiles,
    -- Who has no profile, or two, has no zone.
    case when number % 97 = 0 or number % 101 = 0 then null else zones.zone end as zone,
    case when number % 97 = 0 or number % 101 = 0 or number % 25 = 24 then 'zone_missing'
        when number % 25 in (22, 23) then 'zone_invalid' end as zone_problem
from (select distinct household_id as number from raw.transactions) as households
left join facts.zones on zones.remainder = number % 25;

create table facts.reach as
select
    user_id,
    channel,
    case channel
        when 'email' then cast(user_id as bigint) % 13 > 1
        when 'push' then cast(user_id as bigint) % 3 > 0
        else cast(user_id as bigint) % 5 > 0
    end as has_address,
    case channel
        when 'email' then cast(user_id as bigint) % 10 > 1
        when 'push' then cast(user_id as bigint) % 4 > 0
        else cast(user_id as bigint) % 7 = 0
    end as has_consent
from facts.people
cross join (select 'email' as channel union all select 'push' union all select 'sms') as channels
where profiles = 1;

-- -- what happened ---------------------------------------------------------------------------------------------------

create table facts.baskets as
select
    cast(household_id as text) as user_id,
    basket_id,
    happened_at,
    happened_at + interval '1 second' * case when basket_id % 29 = 0 then 3600 * (1 + basket_id % 36)
        else 60 * (1 + basket_id % 17) end as landed_at,
    cents
from (
    select household_id, basket_id, min(transaction_timestamp) as happened_at, sum(cast(round(sales_value * 100) as bigint)) as cents
    from raw.transactions
    group by household_id, basket_id
) as sums;

create table facts.redemptions as
select
    'r' || household_id || ':' || campaign_id || ':' || coupon_upc || ':' || cast(redemption_date as date) as event_id,
    cast(household_id as text) as user_id,
    cast(campaign_id as text) as mailing,
    happened_at,
    happened_at + interval '1 second' * case when coupon_upc % 29 = 0 then 3600 * (1 + coupon_upc % 36)
        else 60 * (1 + coupon_upc % 17) end as landed_at
from (
    select
        raw.coupon_redemptions.household_id,
        raw.coupon_redemptions.campaign_id,
        raw.coupon_redemptions.coupon_upc,
        raw.coupon_redemptions.redemption_date,
        coalesce(max(baskets.happened_at), raw.coupon_redemptions.redemption_date + interval '17 hours') as happened_at
    from raw.coupon_redemptions
    left join facts.baskets
        on baskets.user_id = cast(raw.coupon_redemptions.household_id as text)
        and baskets.happened_at >= raw.coupon_redemptions.redemption_date + interval '5 hours'
        and baskets.happened_at < raw.coupon_redemptions.redemption_date + interval '29 hours'
    group by raw.coupon_redemptions.household_id, raw.coupon_redemptions.campaign_id,
        raw.coupon_redemptions.coupon_upc, raw.coupon_redemptions.redemption_date
) as timed;

create table facts.mailings as
select
    cast(sent.household_id as text) as user_id,
    cast(sent.campaign_id as text) as mailing,
    described.campaign_type,
    described.start_date + interval '12 hours' + interval '30 seconds'
        + interval '1 minute' * (sent.household_id % 360) as sent_at
from raw.campaigns as sent
join raw.campaign_descriptions as described on described.campaign_id = sent.campaign_id;

-- Purchases by category, from shortly before the first entry on.
create table facts.category_purchases as
select
    'b' || lines.basket_id || ':' || product_category as event_id,
    cast(lines.household_id as text) as user_id,
    product_category,
    min(baskets.happened_at) as happened_at,
    min(baskets.landed_at) as landed_at,
    sum(cast(round(lines.sales_value * 100) as bigint)) as cents
from raw.transactions as lines
join raw.products as products on products.product_id = lines.product_id
join facts.baskets on baskets.basket_id = lines.basket_id
where product_category is not null and lines.transaction_timestamp >= timestamp '2017-10-19'
group by lines.basket_id, lines.household_id, product_category;

create table facts.known_categories as
select distinct cast(household_id as text) as user_id, product_category
from raw.transactions as lines
join raw.products as products on products.product_id = lines.product_id
where transaction_timestamp < timestamp '2017-10-20';

-- -- who was in a segment --------------------------------------------------------------------------------------------

create table facts.members as
select 'lapsed' as segment, as_of, user_id, count(*) as baskets
from (select distinct as_of from facts.ticks) as days
join facts.baskets on landed_at <= as_of and happened_at <= as_of
group by as_of, user_id
having count(*) >= 5 and max(happened_at) + interval '21 days' <= as_of
union all
select 'high_spenders', as_of, user_id, count(*)
from (select distinct as_of from facts.ticks) as days
join facts.baskets on landed_at <= as_of and happened_at <= as_of and happened_at + interval '30 days' > as_of
group by as_of, user_id
having sum(cents) >= 40000;

-- -- what should enter, and what stops it ----------------------------------------------------------------------------

-- `seen_from`: the instant from which a tick can see it.
create table facts.occurrences as
with life as (select min(now) as launch, max(now) as last from facts.ticks)
select 'category_welcome' as campaign, firsts.user_id, event_id as occurrence_id, happened_at as entered_at,
    landed_at as seen_from, firsts.product_category as match_key
from (
    select distinct on (user_id, product_category) *
    from facts.category_purchases
    where happened_at >= timestamp '2017-10-20'
    order by user_id, product_category, happened_at, event_id
) as firsts
left join facts.known_categories as known
    on known.user_id = firsts.user_id and known.product_category = firsts.product_category
where known.user_id is null and cents >= 400
union all
select 'basket_thanks', user_id, 'b' || basket_id, happened_at, landed_at, null
from facts.baskets cross join life where cents >= 6000 and happened_at >= launch
union all
select 'receipt', user_id, 'b' || basket_id, happened_at, landed_at, null
from facts.baskets cross join life where cents >= 1000 and happened_at >= launch
union all
select 'mailed_not_redeemed', mailings.user_id, 'm' || mailings.mailing || ':' || mailings.user_id,
    sent_at + interval '6 days', sent_at + interval '6 days', mailings.mailing
from facts.mailings
cross join life
left join facts.redemptions on redemptions.user_id = mailings.user_id and redemptions.mailing = mailings.mailing
    and redemptions.happened_at between sent_at and sent_at + interval '6 days' - interval '1 microsecond'
where campaign_type <> 'Type C' and redemptions.user_id is null
    and sent_at + interval '6 days' >= greatest(launch, timestamp '2017-10-27')
    and sent_at + interval '6 days' < timestamp '2017-11-07 02:00:00'
union all
select 'redemption_thanks', user_id, event_id, happened_at, landed_at, mailing
from facts.redemptions cross join life where happened_at >= launch;

-- match_key: empty where any such event of the person counts.
create table facts.exceptions as
with life as (select max(now) as last from facts.ticks)
select 'category_welcome' as campaign, user_id, event_id, happened_at, landed_at, product_category as match_key
from facts.category_purchases cross join life where happened_at <= last
union all
select 'mailed_not_redeemed', user_id, event_id, happened_at, landed_at, mailing
from facts.redemptions cross join life where happened_at <= last
union all
select 'win_back', user_id, 'b' || basket_id, happened_at, landed_at, ''
from facts.baskets cross join life where happened_at between timestamp '2017-10-19' and last;

-- What enters by a segment: the segment, the change, and how many baskets `where` asks for.
create table facts.entered_by_segment (campaign text, segment text, change text, at_least int);
insert into facts.entered_by_segment values
    ('win_back', 'lapsed', 'enter', 10), ('high_spender_fades', 'high_spenders', 'exit', 0);

create table facts.kept_out (campaign text, segment text);
insert into facts.kept_out values ('mailed_not_redeemed', 'lapsed');

-- The rows of messages that the replay put there itself: the real mailings.
create table facts.history as
select md5('mailing|' || mailing || '|' || user_id) as message_id, user_id, sent_at as queued_at from facts.mailings;
