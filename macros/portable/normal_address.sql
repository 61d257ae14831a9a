{#- An address as it is compared: e-mail without regard to case and blanks, a phone number without its decoration, a push token
    as it is. -#}
{%- macro normal_address(channel, address) -%}
  case {{ channel }}
    when 'email' then lower(trim({{ address }}))
    when 'sms' then replace(replace(replace(replace(replace({{ address }}, ' ', ''), '-', ''), '(', ''), ')', ''), '.', '')
    else {{ address }}
  end
{%- endmacro -%}
