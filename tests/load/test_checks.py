"""Across the files: what can never work, or nobody can mean, is told at its line before anything runs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from activate.load.check import CHECKS, lint_page

from .conftest import CAMPAIGN, CONTRACTS, Shop, node

CART = "rules/campaigns/abandoned_cart.yml"
POLICY = "rules/activate.yml"
SEGMENT = CAMPAIGN.replace('  trigger: cart_abandoned\n  where: "cart_value > 100"\n', "  segment: lapsed\n").replace(
    "exceptions:\n  - {event: purchase, match: cart_id}\n", ""
)
PLAIN = "{% block title %}x{% endblock %}"


# -- models ------------------------------------------------------------------------------------------------------------


def test_an_unknown_trigger_comes_with_the_triggers_there_are(shop: Shop) -> None:
    shop.campaign(trigger="cart_abandonned")
    assert shop.only() == (
        f"{CART}:6: error: no trigger model 'cart_abandonned'; allowed: cart_abandoned; did you mean 'cart_abandoned'? "
        "(after adding a model, run `dbt parse`)"
    )


@pytest.mark.parametrize("key", ["in", "not_in"])
def test_an_unknown_segment_of_the_audience_is_told(shop: Shop, key: str) -> None:
    shop.campaign(f"audience:\n  {key}:\n    - lapsed\n    - lapst\n")
    assert shop.only().startswith(
        f"{CART}:17: error: no segment model 'lapst'; allowed: lapsed; did you mean 'lapsed'?"
    )


def test_an_unknown_segment_to_enter_by_is_told(shop: Shop) -> None:
    shop.write("rules/templates/cart.push.j2", PLAIN)
    shop.write(CART, SEGMENT.replace("segment: lapsed", "segment: lapsd"))
    assert shop.only().startswith(f"{CART}:6: error: no segment model 'lapsd'; allowed: lapsed; did you mean 'lapsed'?")


def test_a_trigger_is_not_a_segment(shop: Shop) -> None:
    shop.write("rules/templates/cart.push.j2", PLAIN)
    shop.write(CART, SEGMENT.replace("segment: lapsed", "segment: cart_abandoned"))
    assert shop.only() == (
        f"{CART}:6: error: the model 'cart_abandoned' is a trigger, not a segment; write `trigger: cart_abandoned`"
    )
    shop.write(CART, SEGMENT + "audience: {in: [cart_abandoned]}\n")
    assert shop.only() == f"{CART}:11: error: the model 'cart_abandoned' is a trigger, not a segment"


def test_a_model_without_a_contract_is_told_how_to_get_one(shop: Shop) -> None:
    shop.campaign("audience: {in: [profiles]}\n")
    assert shop.only() == (
        f"{CART}:14: error: the model 'profiles' is no segment; "
        "add `config: {meta: {activate: {kind: segment, ...}}}` to it"
    )


def test_the_profiles_and_events_models_have_to_be_there(shop: Shop) -> None:
    del shop.nodes["events"]
    del shop.nodes["profiles"]
    said = shop.lint()
    assert said[0].startswith(f"{POLICY}:1: error: no dbt model 'profiles'")
    assert said[1].startswith(f"{POLICY}:2: error: no dbt model 'events'")
    assert len(said) == 2


def test_a_source_can_be_named_in_place_of_a_model(shop: Shop) -> None:
    events = shop.nodes.pop("events")
    shop.sources["source.shop.raw.events"] = events | {
        "resource_type": "source", "source_name": "raw", "identifier": "events", "unique_id": "source.shop.raw.events",
    }  # fmt: skip
    shop.write(POLICY, (shop.directory / POLICY).read_text().replace("model: events", "model: raw.events"))
    assert shop.lint() == []


def test_an_ephemeral_model_has_no_table(shop: Shop) -> None:
    shop.nodes["profiles"]["config"]["materialized"] = "ephemeral"
    assert shop.only() == f"{POLICY}:1: error: the model 'profiles' is ephemeral, so there is no table to read"


def test_a_broken_contract_is_told_where_dbts_yaml_declares_it(shop: Shop) -> None:
    shop.nodes["cart_abandoned"] = node("cart_abandoned", {}, {**CONTRACTS["cart_abandoned"], "lodaed": "x"})
    shop.write(
        "models/models.yml",
        "version: 2\nmodels:\n  - name: profiles\n  - name: cart_abandoned\n    config:\n      meta:\n"
        "        activate:\n          kind: trigger\n",
    )
    assert shop.only() == (
        "models/models.yml:7: error: model cart_abandoned: `meta.activate` has the unknown key 'lodaed'; "
        "allowed: kind, key, id, time, loaded; did you mean 'loaded'?"
    )


def test_a_broken_contract_in_a_models_own_sql_has_its_line(shop: Shop) -> None:
    shop.nodes["lapsed"] = node("lapsed", {}, {"kind": "segment"}, patch_path=None)
    shop.write("models/lapsed.sql", "-- lapsed\n{{ config(\n  meta={'activate': {'kind': 'segment'}}\n) }}\nselect 1")
    shop.campaign("audience: {in: [lapsed]}\n")
    assert shop.only() == "models/lapsed.sql:3: error: model lapsed: `meta.activate` of a segment needs `key`"


def test_a_broken_contract_of_a_model_that_nothing_uses_is_a_warning(shop: Shop) -> None:
    shop.nodes["lapsed"] = node("lapsed", {}, {"kind": "segment"})
    assert shop.only() == "models/models.yml: warning: model lapsed: `meta.activate` of a segment needs `key`"


def test_a_trigger_without_a_load_time_is_a_warning(shop: Shop) -> None:
    contract = {key: value for key, value in CONTRACTS["cart_abandoned"].items() if key != "loaded"}
    shop.nodes["cart_abandoned"]["config"]["meta"] = {"activate": contract}
    assert shop.only().startswith("models/models.yml: warning: model cart_abandoned: the contract names no `loaded`")


def test_nobody_is_in_a_segment_and_not_in_it(shop: Shop) -> None:
    shop.write("rules/templates/cart.push.j2", PLAIN)
    shop.write(CART, SEGMENT + "audience: {not_in: [lapsed]}\n")
    assert shop.only().startswith(f"{CART}:11: warning: the campaign asks people to be in 'lapsed' and not to be in it")


# -- columns -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "instead", "line", "said"),
    [
        (
            "key: user_id, time_zone",
            "key: userid, time_zone",
            1,
            "model 'profiles' has no column 'userid'; its columns: ",
        ),
        ("time_zone: time_zone", "time_zone: zone", 1, "no column 'zone'"),
        ("id: event_id", "id: evnt_id", 2, "did you mean 'event_id'?"),
        ("name: event_name", "name: event", 2, "model 'events' has no column 'event'"),
        ("time: occurred_at", "time: properties", 2, "is json; it must be a timestamp or a date: cast it in the dbt"),
        ("properties: properties", "properties: occurred_at", 2, "is timestamp; it must be JSON or text"),
        ("address: push_token", "address: pushtoken", 4, "no column 'pushtoken'"),
        ("address: push_token", "address: push_consent", 4, "is boolean; it must be text or a whole number"),
        ("consent: email_consent", "consent: emial_consent", 5, "did you mean 'email_consent'?"),
    ],
)
def test_columns_that_the_policy_names_exist_and_can_serve(
    shop: Shop, written: str, instead: str, line: int, said: str
) -> None:
    text = (shop.directory / POLICY).read_text()
    assert written in text
    shop.write(POLICY, text.replace(written, instead, 1))
    assert shop.only().startswith(f"{POLICY}:{line}: error: ")
    assert said in shop.only()


@pytest.mark.parametrize(
    ("column", "type_name", "said"),
    [
        ("user_id", None, "`activate.key`: the model has no column 'user_id'"),
        (
            "user_id",
            "double",
            "`activate.key`: the column 'user_id' of the model is double; it must be text or a whole",
        ),
        ("event_id", "json", "`activate.id`: the column 'event_id' of the model is json; it must be text or a whole"),
        ("event_id", "varchar[]", "`activate.id`: the column 'event_id' of the model is varchar[]"),
        (
            "occurred_at",
            "varchar",
            "`activate.time`: the column 'occurred_at' of the model is varchar; it must be a timest",
        ),
        (
            "occurred_at",
            "time",
            "`activate.time`: the column 'occurred_at' of the model is time; it must be a timestamp",
        ),
        (
            "occurred_at",
            "bigint",
            "`activate.time`: the column 'occurred_at' of the model is bigint; it must be a timest",
        ),
        ("loaded_at", None, "`activate.loaded`: the model has no column 'loaded_at'"),
    ],
)
def test_a_model_that_lost_a_column_of_its_contract_is_told(
    shop: Shop, column: str, type_name: str | None, said: str
) -> None:
    columns = shop.nodes["cart_abandoned"]["columns"]
    if type_name is None:
        del columns[column]
    else:
        columns[column]["data_type"] = type_name
    assert shop.only().startswith(f"models/models.yml: error: model cart_abandoned: {said}")


@pytest.mark.parametrize(
    "type_name",
    ["timestamp with time zone", "timestamp without time zone", "timestamp_ns", "date", "datetime", "my_domain"],
)
def test_every_kind_of_instant_can_be_a_time(shop: Shop, type_name: str) -> None:
    shop.nodes["cart_abandoned"]["columns"]["occurred_at"]["data_type"] = type_name
    assert shop.lint() == []


def test_columns_are_found_whatever_their_case(shop: Shop) -> None:
    columns = shop.nodes["profiles"]["columns"]
    columns["USER_ID"] = {"name": "USER_ID", "data_type": "varchar"}
    del columns["user_id"]
    assert shop.lint() == []


def test_columns_that_dbt_merely_declares_give_warnings(shop: Shop) -> None:
    for found in shop.nodes.values():
        found["config"]["contract"]["enforced"] = False
    del shop.nodes["profiles"]["columns"]["time_zone"]
    del shop.nodes["cart_abandoned"]["columns"]["cart_value"]
    said = shop.lint()
    assert [line.split(": ", 2)[1] for line in said] == ["warning"] * 3
    assert said[0] == f"{POLICY}:1: warning: model 'profiles' does not declare a column 'time_zone'"
    assert f"{CART}:7: warning: `where`: model 'cart_abandoned' does not declare a column 'cart_value'" in said[1]
    assert said[2].startswith("rules/templates/cart.push.j2:1: warning: `context.cart_value`: model 'cart_abandoned'")


def test_where_nothing_is_declared_columns_are_not_asked_about(shop: Shop) -> None:
    for found in shop.nodes.values():
        found["columns"] = {}
    assert shop.lint() == []


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (
            "cart_valu > 100",
            "no column 'cart_valu'; the model's columns: event_id, user_id, occurred_at, loaded_at, cart_id",
        ),
        ("cart_valu > 100", "did you mean 'cart_value'?"),
        ("cart_value", '"cart_value" is not true or false'),
        ("exists (select 1)", "a sub-statement is not allowed"),
        ("cart_value > 100 -- or true", "comments (-- and /* */) are not allowed"),
        ("cart_value > 100; drop table profiles", "';' is not allowed"),
    ],
)
def test_a_where_is_checked_against_its_model(shop: Shop, where: str, said: str) -> None:
    shop.campaign(where=f'"{where}"')
    assert shop.only().startswith(f"{CART}:7: error: `where` of cart_abandoned: ")
    assert said in shop.only()


def test_an_exceptions_where_is_checked_against_the_events(shop: Shop) -> None:
    text = CAMPAIGN.replace("match: cart_id}", "match: cart_id, where: cart_value > 100}")
    shop.write(CART, text)
    assert shop.only().startswith(f"{CART}:9: error: `where` of events: no column 'cart_value'")


def test_a_match_has_to_be_known_where_people_enter_and_where_events_are(shop: Shop) -> None:
    shop.write(CART, CAMPAIGN.replace("match: cart_id", "match: basket_id"))
    assert shop.only().startswith(f"{CART}:9: error: model 'cart_abandoned' has no column 'basket_id' to match by")
    shop.write(CART, CAMPAIGN)
    shop.write(POLICY, (shop.directory / POLICY).read_text().replace(", properties: properties", ""))
    assert shop.only().startswith(f"{CART}:9: error: the events model has no column 'cart_id', and rules/activate.yml")


def test_who_leaves_a_segment_brings_no_row_to_match_by(shop: Shop) -> None:
    shop.write("rules/templates/cart.push.j2", PLAIN)
    shop.write(CART, SEGMENT.replace("segment: lapsed", "segment: lapsed\n  on: exit") + "match: ltv\n")
    assert shop.only() == (
        f"{CART}:12: error: people who leave a segment bring no row, so 'ltv' is never known and nothing ever matches"
    )


def test_a_goals_value_is_a_column_or_a_property_of_events(shop: Shop) -> None:
    shop.campaign("goal: {event: purchase, value: revenue}\n")
    assert shop.lint() == []
    shop.write(POLICY, (shop.directory / POLICY).read_text().replace(", properties: properties", ""))
    assert any(line.startswith(f"{CART}:14: error: the events model has no column 'revenue'") for line in shop.lint())


# -- channels and providers --------------------------------------------------------------------------------------------


def test_a_step_names_channels_that_there_are(shop: Shop) -> None:
    shop.campaign(channels="[push, pusch]")
    assert shop.only() == f"{CART}:12: error: no channel 'pusch'; allowed: push, email; did you mean 'push'?"
    shop.campaign(channels="[push, push]")
    assert shop.only() == f"{CART}:12: warning: the channel 'push' is already in the list"


def test_a_channel_has_a_provider_that_there_is(shop: Shop) -> None:
    text = (shop.directory / POLICY).read_text()
    shop.write(POLICY, text.replace("push_consent, provider: outbox", "push_consent, provider: outbux"))
    assert shop.only().startswith(
        f"{POLICY}:4: error: no provider 'outbux' in `providers:`, and no provider type of that"
    )
    assert "did you mean 'outbox'?" in shop.only()


def test_a_provider_type_can_be_named_only_if_it_needs_nothing(shop: Shop) -> None:
    text = (shop.directory / POLICY).read_text()
    shop.write(POLICY, text.replace("push_consent, provider: outbox", "push_consent, provider: webhook"))
    said = shop.lint()
    assert said
    assert all(
        line.startswith(f"{POLICY}:4: error: the provider 'webhook' has no section in `providers:`") for line in said
    )


def test_a_providers_options_are_checked_without_its_secrets(shop: Shop) -> None:
    text = (shop.directory / POLICY).read_text()
    section = '{type: webhook, url: "https://x.example", secret: "{{ env_var(\'NOT_SET\') }}"'
    shop.write(POLICY, text.replace("{type: file, path: outbox.jsonl}", section + "}"))
    assert shop.lint() == []
    shop.write(POLICY, text.replace("{type: file, path: outbox.jsonl}", section + ", batsh: 5}"))
    assert shop.only().startswith(f"{POLICY}:7: error: 'batsh' is not an option; allowed: ")
    shop.write(POLICY, text.replace("type: file", "type: fil"))
    assert shop.only().startswith(f"{POLICY}:7: error: there is no provider type 'fil'; allowed: file, webhook, smtp")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["urll: x"], "POLICY:8: error: 'urll' is not an option; "),
        (["url: https://x.example", "batch: many"], "POLICY:9: error: 'batch': 'many' is not a whole number"),
        (["type: webhook"], "POLICY:7: error: 'url' is missing: "),
    ],
    ids=["misspelt", "wrong", "missing"],
)  # fmt: skip
def test_an_option_is_told_on_its_own_line(shop: Shop, lines: list[str], said: str) -> None:
    text = (shop.directory / POLICY).read_text()
    section = ["outbox:", *lines, *["type: webhook"] * ("type: webhook" not in lines)]
    shop.write(POLICY, text.replace("outbox: {type: file, path: outbox.jsonl}", "\n    ".join(section)))
    assert any(line.startswith(said.replace("POLICY", POLICY)) for line in shop.lint()), shop.lint()


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("{{ var('KEY') }}", "'secret' uses 'var', which is not known; write \"{{ env_var('NAME') }}\"; did you mean 'env_var'?"),
        ("{{ env_vr('KEY') }}", "'secret' uses 'env_vr', which is not known; write \"{{ env_var('NAME') }}\"; did you mean 'env_var'?"),
        ("{{ env_var('KEY' }}", "'secret' cannot be read as a template; write \"{{ env_var('NAME') }}\""),
        ("{{ env_var('KEY') | as_txt }}", "'secret' cannot be read as a template; write \"{{ env_var('NAME') }}\""),
        ("{{ env_var('KEY', 'x') | as_text }}", None),
    ],
    ids=["var", "name", "form", "filter", "right"],
)  # fmt: skip
def test_what_can_never_be_filled_in_is_told_without_the_secrets(shop: Shop, secret: str, said: str | None) -> None:
    text = (shop.directory / POLICY).read_text()
    section = f'{{type: webhook, url: "https://x.example", secret: "{secret}"}}'
    shop.write(POLICY, text.replace("{type: file, path: outbox.jsonl}", section))
    assert shop.lint() == ([f"{POLICY}:7: error: {said}"] if said else [])


def test_a_provider_that_cannot_carry_a_channel_is_told_and_a_channels_own_name_is_free(shop: Shop) -> None:
    text = (shop.directory / POLICY).read_text()
    section = "{type: smtp, host: localhost, security: none, from: a@shop.example.com}"
    text = text.replace("{type: file, path: outbox.jsonl}", section)
    shop.write(POLICY, text)
    assert any("cannot carry 'push'; it carries: email" in line for line in shop.lint())
    shop.write(POLICY, text.replace("push: {", "newsletter: {"))
    assert not any("cannot carry" in line for line in shop.lint())


def test_a_provider_gets_the_blocks_it_cannot_do_without(shop: Shop) -> None:
    text = (shop.directory / POLICY).read_text()
    section = "{type: smtp, host: localhost, security: none, from: a@shop.example.com}"
    shop.write(POLICY, text.replace("{type: file, path: outbox.jsonl}", section))
    assert any("goes out by smtp, which needs the block 'subject'" in line for line in shop.lint())


# -- templates ---------------------------------------------------------------------------------------------------------


def test_every_channel_and_variant_has_its_template(shop: Shop) -> None:
    shop.campaign("variants: [{name: a}, {name: b}]\n", channels="[push, email]")
    shop.write("rules/templates/cart.a.email.j2", PLAIN)
    assert shop.only() == (
        f"{CART}:13: error: no template for the channel 'email': rules/templates/cart.b.email.j2 or "
        "rules/templates/cart.email.j2 does not exist; did you mean 'cart.a.email.j2'?"
    )


def test_a_template_outside_its_folder_is_refused(shop: Shop) -> None:
    shop.write("secret.push.j2", PLAIN)
    shop.campaign(template="../../secret")
    assert shop.only().startswith(f"{CART}:13: error: '../../secret' is not a template's name")


@pytest.mark.parametrize(
    ("template", "line", "said"),
    [
        ("{% block a %}\n{{ profile. }}{% endblock %}", 2, ""),
        ("{% block a %}\n{% if %}{% endblock %}", 2, ""),
        ("{% block a %}x", 1, ""),
        ("\n{{ profil.first_name }}", 2, "'profil' is not known; allowed: "),
        ("{{ ''.__class__ }}", 1, "private"),
    ],
)
def test_a_template_that_does_not_compile_is_told_with_its_line(
    shop: Shop, template: str, line: int, said: str
) -> None:
    shop.write("rules/templates/cart.push.j2", template)
    assert shop.only().startswith(f"rules/templates/cart.push.j2:{line}: error: ")
    assert said in shop.only()


def test_a_template_tells_all_its_mistakes_at_once(shop: Shop) -> None:
    shop.write(
        "rules/templates/cart.push.j2",
        "lost{% block a %}{{ profil.first_name }}{{ ''.__class__.__mro__ }}{% endblock %}\n"
        "{% block b %}{{ profile.frist_name }} {{ context.cart_value | mony }}{% endblock %}\n"
        "{% block c %}{{ profile['_x'] }}{% endblock %}",
    )
    said = [line.removeprefix("rules/templates/cart.push.j2:") for line in shop.lint()]
    assert [line[: line.index("error")] for line in said] == ["1: ", "1: ", "1: ", "2: ", "2: ", "3: "]
    for words in (
        "text outside",
        "'__class__'",
        "'__mro__'",
        "'frist_name'; did you mean 'first_name'",
        "'mony'",
        "'_x'",
    ):
        assert sum(words in line for line in said) == 1, words
    shop.write("rules/templates/cart.push.j2", "{{ profil.first_name }}\n{{ nothing }}\n{{ context.cart_valu }}")
    assert [line.split(": ")[0][-2:] for line in shop.lint()] == [":1", ":2", ":3"]


def test_a_field_that_no_model_has_is_told_with_the_nearest(shop: Shop) -> None:
    shop.write("rules/templates/cart.push.j2", "Hello\n{{ profile.firstname }}, {{ context['cart_valu'] }}")
    assert shop.lint() == [
        "rules/templates/cart.push.j2:2: error: `context.cart_valu`: model 'cart_abandoned' has no column 'cart_valu'; "
        "did you mean 'cart_value'?",
        "rules/templates/cart.push.j2:2: error: `profile.firstname`: model 'profiles' has no column 'firstname'; "
        "did you mean 'first_name'?",
    ]


def test_who_leaves_a_segment_brings_no_row_to_show(shop: Shop) -> None:
    shop.write(CART, SEGMENT.replace("segment: lapsed", "segment: lapsed\n  on: exit"))
    shop.write("rules/templates/cart.push.j2", "\n{{ context.ltv }}")
    assert shop.only().startswith("rules/templates/cart.push.j2:2: error: `context.ltv`: people who leave a segment")


def test_a_link_to_unsubscribe_needs_a_provider_that_has_one(shop: Shop) -> None:
    shop.write("rules/templates/cart.push.j2", "{{ unsubscribe_url }}")
    assert shop.only().startswith("rules/templates/cart.push.j2:1: error: `unsubscribe_url` is used, but the provider")
    shop.write("rules/templates/cart.push.j2", "{% if unsubscribe_url is defined %}{{ unsubscribe_url }}{% endif %}")
    assert shop.lint() == []


# -- times -------------------------------------------------------------------------------------------------------------


def test_semantics_1_6_a_delay_longer_than_the_campaigns_life_is_a_lint_error(shop: Shop) -> None:
    """Delay longer than (end - start): zero sends, config lint error."""
    shop.campaign("active: {from: 2026-01-01, until: 2026-01-03}\n", wait="48 hours")
    assert shop.only() == (
        f"{CART}:11: error: step 1 falls due 2 days after the entry at the earliest, but the campaign lives for "
        "2 days: it is never sent"
    )
    shop.campaign("active: {from: 2026-01-01, until: 2026-01-03}\n", wait="47 hours")
    assert shop.lint() == []


def test_the_waits_of_several_steps_add_up(shop: Shop) -> None:
    step = "  - {wait: 1 day, channels: [push], template: cart}\n"
    shop.campaign(step + step + "active: {from: 2026-01-01, until: 2026-01-03}\n")
    assert shop.only().startswith(f"{CART}:15: error: step 3 falls due ")


def test_an_expiry_before_the_wait_is_over_is_an_error(shop: Shop) -> None:
    shop.campaign(template="cart\n    expires: 30 minutes")
    assert shop.only() == (
        f"{CART}:14: error: `expires` (30 minutes) is counted from the same moment as the wait (30 minutes), so the "
        "step has always expired when it falls due"
    )
    shop.campaign(template="cart\n    expires: 31 minutes")
    assert shop.lint() == []
    shop.policy("scan: {settle: 1 minute}\n")
    assert "`scan.settle` (1 minute)" in shop.only()


def test_an_expiry_within_a_local_wait_is_a_warning(shop: Shop) -> None:
    shop.campaign(wait="in 2 days at 10:00", template="cart\n    expires: 2 days")
    assert shop.only().startswith(f"{CART}:14: warning: `expires` (2 days)")


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ("open: '09:00', close: '09:00'", "the window opens and closes at 09:00: it is never open"),
        ("open: '09:00', close: '05:01'", "the window is open for 20.0167 hours; at most 20 are allowed"),
        ("open: '00:00', close: '23:59'", "at most 20 are allowed"),
        ("open: '09:00', close: '21:00', zone: Europe/Berln", "'Europe/Berln' is not an IANA time zone"),
        ("open: '09:00', close: '21:00', zone: Europe/Berln", "did you mean 'Europe/Berlin'?"),
        ("open: '09:00', close: '21:00', zone: berlin", "did you mean 'Europe/Berlin'?"),
        ("open: '09:00', close: '21:00', unknown_zone: new york", "did you mean 'America/New_York'?"),
        ("open: '09:00', close: '21:00', unknown_zone: '+02:00'", "write one such as Europe/Berlin, or `suppress`"),
        ("open: '09:00', close: '21:00', zone: localtime", "is not an IANA time zone"),
    ],
)
def test_a_window_is_one_that_somebody_can_mean(shop: Shop, window: str, said: str) -> None:
    shop.policy(f"time_window: {{{window}}}\n")
    assert shop.only().startswith(f"{POLICY}:8: error: ")
    assert said in shop.only()
    shop.policy("")
    shop.campaign(f"time_window: {{{window}}}\n")
    assert shop.only().startswith(f"{CART}:14: error: ")


@pytest.mark.parametrize("window", ["open: '09:00', close: '05:00'", "open: '22:00', close: '06:00'"])
def test_a_window_of_at_most_twenty_hours_may_go_over_midnight(shop: Shop, window: str) -> None:
    shop.policy(f"time_window: {{{window}, zone: Asia/Kathmandu, unknown_zone: UTC}}\n")
    assert shop.lint() == []


def test_a_window_asks_about_a_trigger_not_about_a_segment(shop: Shop) -> None:
    window = "time_window: {open: '09:00', close: '21:00', triggered_outside: drop}\n"
    shop.campaign(window)
    assert shop.lint() == []
    shop.write(CART, SEGMENT + window)
    assert any("warning: people enter by a segment when a tick first finds them" in said for said in shop.lint())


def test_a_transactional_campaign_needs_no_window(shop: Shop) -> None:
    shop.campaign("class: transactional\ntime_window: none\n")
    assert shop.only().startswith(f"{CART}:15: warning: a transactional campaign passes every window")


def test_a_life_that_is_over_is_a_warning_for_whoever_asks_about_today(shop: Shop) -> None:
    shop.campaign("active: {until: 2026-02-01}\n")
    assert shop.lint() == []
    assert shop.lint(today=dt.datetime(2026, 1, 31)) == []
    assert shop.only(today=dt.datetime(2026, 2, 1)).startswith(
        f"{CART}:14: warning: `until` (2026-02-01 00:00 UTC) is past"
    )


# -- caps and experiments ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cap", "said"),
    [
        (
            "limit: 0, per: 1 day",
            "error: a limit of 0 would block every message that the cap applies to; the least is 1",
        ),
        (
            "limit: 1, per: 1 day, channel: pusch",
            "error: no channel 'pusch'; allowed: push, email; did you mean 'push'?",
        ),
        ("limit: 1, per: 1 day, tag: promo", "error: no campaign with the tag 'promo'; allowed: promotion"),
        ("limit: 1, per: 1 day, campaign: cart", "error: no campaign 'cart'; allowed: abandoned_cart"),
        ("limit: 1, per: 1 day, class: transactional", "warning: transactional messages pass every cap"),
    ],
)
def test_a_cap_can_hold_somebody_back_and_let_somebody_through(shop: Shop, cap: str, said: str) -> None:
    shop.policy(f"frequency_caps:\n  - {{limit: 1, per: 1 day}}\n  - {{{cap}}}\n")
    assert shop.only().startswith(f"{POLICY}:10: {said}")


def test_a_caps_names_are_not_judged_while_a_campaign_cannot_be_read(shop: Shop) -> None:
    shop.write("rules/campaigns/other.yml", "campaign: other\n")
    shop.policy("frequency_caps:\n  - {limit: 1, per: 1 day, campaign: other, tag: theirs}\n")
    assert {line.split(":")[0] for line in shop.lint()} == {"rules/campaigns/other.yml"}


def test_variants_have_names_of_their_own(shop: Shop) -> None:
    shop.campaign("variants:\n  - {name: a}\n  - {name: b}\n  - {name: a}\n")
    assert shop.only() == f"{CART}:17: error: the variant 'a' is already in the list; give each its own name"


def test_a_control_group_leaves_somebody(shop: Shop) -> None:
    shop.campaign("control: 100%\n")
    assert shop.only() == f"{CART}:14: warning: `control` holds back everybody: nobody gets a message"
    shop.campaign("control: 100%\nvariants: [{name: a}, {name: b}]\n")
    assert shop.only().startswith(f"{CART}:14: error: `control` holds back everybody")
    shop.campaign("")
    shop.policy("global_control: 100%\n")
    assert shop.only().startswith(f"{POLICY}:8: warning: the global control group holds back everybody")


def test_the_page_about_lint_names_every_check_and_is_current() -> None:
    page = (Path(__file__).parents[2] / "docs/lint.md").read_text("utf-8")
    assert page == lint_page(), "write lint_page() to docs/lint.md again"
    assert all(question.__doc__ and question.__doc__.strip().splitlines()[0].endswith(".") for question in CHECKS)
