-- One row per household that was really sent a campaign. The campaign's first day is known, the minute is not: mailings
-- go out from 12:00 to 18:00 UTC of that day, by the household's number (half a minute past, so never at a tick).
select
    sent.household_id,
    sent.campaign_id,
    replace(described.campaign_type, 'Type ', '') as campaign_type,
    described.start_date + interval '1 second' * (43230 + 60 * (sent.household_id % 360)) as sent_at
from {{ source('raw', 'campaigns') }} as sent
join {{ source('raw', 'campaign_descriptions') }} as described on described.campaign_id = sent.campaign_id
