"""What a template's fixed text already makes impossible on its channel is told at lint, with file, line and figure."""

from __future__ import annotations

from typing import Any

import pytest

from activate.providers.base import Provider
from activate.providers.registry import PROVIDERS

from .conftest import Shop

SMS = "rules/templates/cart.sms.j2"
ACCOUNT = "account_sid: AC00000000000000000000000000000000, secret: \"{{ env_var('TWILIO_SECRET') }}\""


def _sms(shop: Shop, text: str, more: str = "", **lines: str) -> None:
    """The shop's campaign goes out by SMS, with this template and these further options."""
    channel = "  sms: {address: phone, consent: push_consent, provider: sms}"
    shop.policy(
        f'  sms: {{type: twilio, {ACCOUNT}, from: "+14155552345"{more}}}\n',
        email=f"{{address: email, consent: email_consent, provider: outbox}}\n{channel}",
    )
    shop.nodes["profiles"]["columns"]["phone"] = {"name": "phone", "data_type": "varchar"}
    shop.campaign(**{"channels": "[sms]", **lines})
    shop.write(SMS, text)


def test_a_text_that_fits_is_no_mistake(shop: Shop) -> None:
    _sms(shop, "Hi {{ profile.first_name }}, your cart waits. STOP to end")
    assert shop.lint() == []


def test_too_many_segments_are_told_with_their_figures(shop: Shop) -> None:
    _sms(shop, "a" * 700 + "… {{ profile.first_name }} STOP")
    assert shop.only() == (
        f"{SMS}:1: error: the channel 'sms' goes out by twilio: the fixed text of the body takes 11 SMS segments "
        "(707 UTF-16 units); at most 10 are sent. '…' is not in the GSM alphabet, so that a segment holds 67 characters "
        "in place of 153"
    )


def test_the_line_is_the_blocks_wherever_it_stands(shop: Shop) -> None:
    _sms(shop, '{% extends "layout.j2" %}\n\n{% block body %}\n{{ super() }}{% endblock %}')
    shop.write("rules/templates/layout.j2", "{% block body %}STOP " + "a" * 1600 + "{% endblock %}")
    assert shop.lint()[0].startswith(
        f"{SMS}:3: error: the channel 'sms' goes out by twilio: the fixed text of the body"
    )
    shop.write(SMS, '{% extends "layout.j2" %}')
    assert shop.lint()[0].startswith("rules/templates/layout.j2:1: error: the channel 'sms'")


def test_what_a_person_may_be_spared_does_not_count(shop: Shop) -> None:
    long = "a" * 2000
    _sms(shop, f"{{% if profile.first_name %}}{long}{{% else %}}STOP{{% endif %}}")
    assert shop.lint() == []
    shop.write(SMS, f"{{% for x in context.cart_id %}}{long}{{% endfor %}} STOP")
    assert shop.lint() == []
    shop.write(SMS, f"STOP {{{{ profile.first_name | default('{long}') }}}}")
    assert shop.lint() == []
    shop.write(SMS, f"STOP {{% if profile.first_name %}}{long}{{% else %}}{long}{{% endif %}}")
    assert len(shop.lint()) == 2  # characters and segments


def test_marketing_without_a_way_out_is_a_warning(shop: Shop) -> None:
    _sms(shop, "Your cart waits")
    assert shop.only() == (
        f"{SMS}:1: warning: the channel 'sms' goes out by twilio: the fixed text of the body does not say how to opt out, "
        "which marketing messages must; write e.g. `Reply STOP to end`, or set the provider's option `opt_out`"
    )
    _sms(shop, "Your cart waits", ", opt_out: Reply STOP to end")
    assert shop.lint() == []
    _sms(shop, "Your cart waits")
    shop.campaign("class: transactional\n", channels="[sms]")
    assert shop.lint() == []


def test_each_variant_is_looked_at_and_a_template_is_told_once(shop: Shop) -> None:
    _sms(shop, "STOP " + "a" * 1550)
    shop.campaign("variants: [{name: a, weight: 1}, {name: b, weight: 1}]\n", channels="[sms]")
    shop.write("rules/templates/cart.b.sms.j2", "STOP " + "ж" * 700)
    assert [said.split(": ")[0] for said in shop.lint()] == ["rules/templates/cart.b.sms.j2:1", f"{SMS}:1"]


def test_an_option_that_is_wrong_is_told_once_and_only_there(shop: Shop) -> None:
    _sms(shop, "STOP " + "a" * 1600, ", max_segments: many")
    assert "'max_segments': 'many' is not a whole number" in shop.only()


def test_an_option_that_is_not_known_yet_says_nothing(shop: Shop) -> None:
    _sms(shop, "STOP " + "a" * 1590, ", max_segments: \"{{ env_var('MOST') }}\"")
    assert shop.lint() == []


@pytest.mark.parametrize("text", ["{{ nobody }}", "{% if %}", "{% block subject %}x{% endblock %}"])
def test_a_broken_template_is_told_by_the_check_of_templates(shop: Shop, text: str) -> None:
    _sms(shop, text)
    assert len(shop.lint()) == 1


def test_a_template_without_blocks_has_the_body_that_a_provider_needs(shop: Shop) -> None:
    _sms(shop, "Hi")
    shop.policy(
        "  sms: {type: slack, token: \"{{ env_var('SLACK_BOT_TOKEN') }}\"}\n",
        email="{address: email, consent: email_consent, provider: outbox}\n"
        "  chat: {address: phone, consent: push_consent, provider: sms}",
    )
    shop.campaign(channels="[chat]")
    shop.write("rules/templates/cart.chat.j2", "Hi {{ profile.first_name }}")
    assert shop.lint() == []
    shop.write("rules/templates/cart.chat.j2", "{% block title %}Hi{% endblock %}")
    assert "needs the block 'body'" in shop.only()
    shop.write("rules/templates/cart.chat.j2", "\n\n" + "a" * 40_001)
    assert "has 40,001 characters; Slack takes 40,000" in shop.only()


def test_a_provider_is_given_its_options_the_least_text_and_the_class(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    class Asked(PROVIDERS["file"]):  # type: ignore[misc]
        @classmethod
        def misfits(cls, *asked: Any) -> list[str]:
            seen.append(asked)
            return []

    assert issubclass(Asked, Provider)
    monkeypatch.setitem(PROVIDERS, "file", Asked)
    assert shop.lint() == []
    assert seen == [({"path": "outbox.jsonl"}, "push", {"title": ","}, "marketing")]
