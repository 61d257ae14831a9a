-- The real mailings, put into Activate's own tables as a messaging tool's export would be: past messages that caps count.
insert into activate.messages (
    message_id, entry_id, campaign, step, variant, user_id, channel, provider, class, tags, expires_at, run_id, queued_at,
    send_by, counts_toward_caps, template, priority
)
select
    md5('mailing|' || campaign_id || '|' || household_id), md5('mailing|' || campaign_id || '|' || household_id),
    'mailing_' || campaign_id, 1, null, cast(household_id as text), 'letter', 'letters', 'marketing',
    case when campaign_type = 'C' then '["mailing"]' else '["mailing", "promotion"]' end,
    sent_at + interval '1 day', 'history', sent_at, null, true, 'letter', 50
from shop.stg_mailings
where sent_at > timestamp '{after}' and sent_at <= timestamp '{before}';
insert into activate.deliveries (message_id, attempt, status, provider, run_id, recorded_at, final)
select md5('mailing|' || campaign_id || '|' || household_id), 1, 'accepted', 'letters', 'history', sent_at, true
from shop.stg_mailings
where sent_at > timestamp '{after}' and sent_at <= timestamp '{before}'
