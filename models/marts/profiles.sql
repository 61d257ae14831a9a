-- One row per person: how to reach them, and whether they agreed, as of activate_now().
-- Consent is looked up by the address of today, so a new e-mail address starts without any; a group's consent counts only
-- while the address is not unsubscribed from everything; a hard bounce silences the address until the person has another.
with known as (
    select
        *,
        row_number() over (partition by user_id order by updated_at desc, loaded_at desc) as recency
    from {{ source('raw', 'profiles') }}
    where updated_at <= {{ activate_now() }} and loaded_at <= {{ activate_now() }}
),

people as (
    select
        user_id, first_name, country, time_zone, signed_up_at, is_employee, email, phone, push_token,
        {{ normal_address("'email'", 'email') }} as email_address,
        {{ normal_address("'sms'", 'phone') }} as sms_address
    from known
    where recency = 1 and user_id is not null
),

everything as (
    select channel, address, state from {{ ref('consent_states') }} where group_name is null
),

group_consents as (
    select channel, address, group_name, state from {{ ref('consent_states') }} where group_name is not null
),

bounced as (
    select distinct channel, address
    from {{ ref('stg_engagement') }}
    where kind = 'bounced' and bounce_type = 'hard' and address is not null and loaded_at <= {{ activate_now() }}
),

states as (
    select
        people.*,
        case when email_bounced.address is not null then 'bounced' else email_all.state end as email_state,
        newsletter.state as newsletter_state,
        case when sms_bounced.address is not null then 'bounced' else sms_all.state end as sms_state,
        offers.state as offers_state,
        case when push_bounced.address is not null then 'bounced' else push_all.state end as push_state
    from people
    left join everything as email_all on email_all.channel = 'email' and email_all.address = people.email_address
    left join everything as sms_all on sms_all.channel = 'sms' and sms_all.address = people.sms_address
    left join everything as push_all on push_all.channel = 'push' and push_all.address = people.push_token
    left join group_consents as newsletter
        on newsletter.channel = 'email' and newsletter.group_name = 'newsletter'
        and newsletter.address = people.email_address
    left join group_consents as offers
        on offers.channel = 'sms' and offers.group_name = 'offers' and offers.address = people.sms_address
    left join bounced as email_bounced
        on email_bounced.channel = 'email' and email_bounced.address = people.email_address
    left join bounced as sms_bounced on sms_bounced.channel = 'sms' and sms_bounced.address = people.sms_address
    left join bounced as push_bounced on push_bounced.channel = 'push' and push_bounced.address = people.push_token
)

select
    user_id,
    first_name,
    country,
    time_zone,
    signed_up_at,
    coalesce(is_employee, false) as is_employee,
    email,
    email_state as email_consent,
    case
        when email_state in ('opted_in', 'subscribed') then coalesce(newsletter_state, 'unsubscribed')
        else coalesce(email_state, 'unsubscribed')
    end as newsletter_consent,
    push_token,
    coalesce(push_state in ('opted_in', 'subscribed'), false) as push_consent,
    phone,
    -- A text message needs the explicit consent of its group; having a number is not enough.
    case
        when coalesce(sms_state, '') in ('unsubscribed', 'bounced') then sms_state
        else coalesce(offers_state, 'unsubscribed')
    end as sms_consent
from states
