-- claim: When a marketing message was queued, no frequency cap that applies to it held more messages than it allows, this one and the real mailings included.
select sent.message_id, caps.number, caps.most, count(*) as counted
from activate.messages as sent
join facts.people on people.user_id = sent.user_id
cross join facts.policy
join facts.caps on (caps.channel is null or caps.channel = sent.channel)
    and (caps.tag is null or position('"' || caps.tag || '"' in sent.tags) > 0)
    and (caps.campaign is null or caps.campaign = sent.campaign)
    and (caps.class is null or caps.class = sent.class)
join activate.messages as counted on counted.user_id = sent.user_id and counted.counts_toward_caps
    and counted.queued_at <= sent.queued_at
    and (caps.channel is null or caps.channel = counted.channel)
    and (caps.tag is null or position('"' || caps.tag || '"' in counted.tags) > 0)
    and (caps.campaign is null or caps.campaign = counted.campaign)
    and (caps.class is null or caps.class = counted.class)
    and case
        when caps.seconds is not null then counted.queued_at > sent.queued_at - interval '1 second' * caps.seconds
        else date_trunc(caps.calendar, counted.queued_at at time zone 'UTC' at time zone coalesce(people.zone, policy.unknown_zone))
            = date_trunc(caps.calendar, sent.queued_at at time zone 'UTC' at time zone coalesce(people.zone, policy.unknown_zone))
    end
left join facts.failed on failed.message_id = counted.message_id
left join facts.history on history.message_id = sent.message_id
where sent.class <> 'transactional' and history.message_id is null and failed.message_id is null
group by sent.message_id, caps.number, caps.most
having count(*) > caps.most
-- tamper: three more messages in the same minute
insert into activate.messages
select message_id || number, entry_id, campaign, step, variant, user_id, channel, provider, class, tags, expires_at, run_id,
    queued_at, send_by, true, template, priority
from activate.messages
cross join (values ('a'), ('b'), ('c')) as more (number)
where class = 'marketing' and message_id = (
    select min(decisions.message_id) from activate.decisions
    join facts.campaigns on campaigns.campaign = decisions.campaign and class = 'marketing'
)
