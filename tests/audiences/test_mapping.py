"""What is sent of each person, when it counts as changed, and what a change of the mapping does."""

from __future__ import annotations

import hashlib
from typing import Any

from activate.audience_plan import AudiencePlan
from tests.audiences.town import PEOPLE, Peer, Town, sha

EMAIL = {"column": "email", "normalise": "email", "hash": "sha256"}


def person(user: str, **more: Any) -> dict[str, Any]:
    return {"user_id": user, **more}


def sent(town: Town, peer: Peer, columns: dict[str, str], row: dict[str, Any], **fields: Any) -> dict[str, Any] | None:
    """What the destination is told of `ada` with this row of the segment."""
    town.segment("vips", {"ada": row}, columns).audience(fields=fields).sync()
    return peer.members()["ada"]


def withheld(plan: AudiencePlan | None) -> dict[str, int]:
    assert plan is not None
    return {part.kind: part.people for part in plan.withheld}


# -- values -----------------------------------------------------------------------------------------------------------


def test_columns_are_renamed_and_constants_added(town: Town, peer: Peer) -> None:
    found = sent(
        town, peer, {"ltv": "bigint", "city": "text"}, {"ltv": 5, "city": "Öster\"sund'\\"},
        lifetime_value="ltv", place="city", source={"value": "dbt"}, level={"value": 3}, share={"value": 0.5}, on={"value": True},
    )  # fmt: skip
    expected = {"lifetime_value": 5, "place": "Öster\"sund'\\", "source": "dbt", "level": 3, "share": 0.5, "on": True}
    assert found == expected


def test_columns_of_the_profiles_can_be_sent(town: Town, peer: Peer) -> None:
    town.put("people", person("ada", first_name="Ada", points=7), person("bob", first_name="Bob"))
    town.segment("vips", ["ada", "eve"]).audience(fields={"name": "first_name", "points": "points"}).sync()
    assert peer.members() == {"ada": {"name": "Ada", "points": 7}, "eve": {"name": None, "points": None}}


def test_what_json_has_no_number_for_is_null(town: Town, peer: Peer) -> None:
    users = {name: {"rate": float(name)} for name in ("nan", "inf", "-inf")}
    town.segment("vips", users, {"rate": "double"})
    town.audience(fields={"rate": "rate", "text": {"column": "rate", "cast": "text"}}).sync()
    assert peer.members() == {name: {"rate": None, "text": None} for name in users}
    town.later().segment("vips", {name: {"rate": None} for name in users})
    assert town.sync().outcomes == {}


def test_instants_are_told_in_iso_8601_and_dates_as_dates(town: Town, peer: Peer) -> None:
    columns = {"seen": "timestamp", "zoned": "timestamptz", "born": "date", "none": "timestamp"}
    town.segment("vips", [], columns)
    town.run(
        f"INSERT INTO {town.schema}.vips VALUES ('ada', CAST('2026-01-02 03:04:05.5' AS TIMESTAMP), "
        "CAST('2026-01-02 03:04:05+02:00' AS TIMESTAMPTZ), CAST('2026-01-02' AS DATE), NULL)"
    )
    fields = {name: name for name in columns} | {"day": {"column": "seen", "cast": "date"}}
    town.audience(fields=fields).sync()
    assert peer.members()["ada"] == {
        "seen": "2026-01-02T03:04:05.5Z", "zoned": "2026-01-02T01:04:05Z", "born": "2026-01-02", "none": None,
        "day": "2026-01-02",
    }  # fmt: skip


def test_values_are_cast(town: Town, peer: Peer) -> None:
    cases: list[tuple[str, Any, str, Any]] = [
        ("bigint", 5, "text", "5"),
        ("text", "5", "integer", 5),
        ("text", "2.5", "decimal", 2.5),
        ("text", "true", "boolean", True),
        ("bigint", None, "text", None),
    ]
    columns = {f"x{at}": kind for at, (kind, _, _, _) in enumerate(cases)}
    row = {f"x{at}": value for at, (_, value, _, _) in enumerate(cases)}
    mapping = {f"x{at}": {"column": f"x{at}", "cast": cast} for at, (_, _, cast, _) in enumerate(cases)}
    expected = {f"x{at}": value for at, (_, _, _, value) in enumerate(cases)}
    assert sent(town, peer, columns, row, **mapping) == expected


def test_texts_are_made_uniform_and_hashed_so(town: Town, peer: Peer) -> None:
    cases: list[tuple[dict[str, str], str, str]] = [
        ({"normalise": "email"}, "Dana@Example.com ", "dana@example.com"),
        ({"normalise": "email"}, "\tda na@example.com\r\n", "dana@example.com"),
        ({"normalise": "email"}, "d.a.na+x@gmail.com", "d.a.na+x@gmail.com"),
        ({"normalise": "email_gmail"}, "D.a.na+x@GMail.com", "dana@gmail.com"),
        ({"normalise": "email_gmail"}, "d.a.na+x@googlemail.com", "dana@googlemail.com"),
        ({"normalise": "email_gmail"}, "d.a.na+x@example.com", "d.a.na+x@example.com"),
        ({"normalise": "lower"}, "  ADA ", "ada"),
        ({"normalise": "trim"}, "  Ada ", "Ada"),
        ({"normalise": "phone"}, "+46 (70) 123-45.67", "+46701234567"),
        ({"normalise": "phone"}, "0046 70 123 45 67", "+46701234567"),
        ({"normalise": "phone", "country_code": "+46"}, "070-123 45 67", "+46701234567"),
        ({"normalise": "phone", "country_code": "+46"}, "701234567", "+46701234567"),
        ({"normalise": "phone", "country_code": "+46"}, "+1 555 0100", "+15550100"),
        ({"normalise": "phone_digits"}, "+46 70 123 45 67", "46701234567"),
        ({"normalise": "phone_digits", "country_code": "+46"}, "070 123 45 67", "46701234567"),
        ({"normalise": "phone_digits"}, "0046701234567", "46701234567"),
    ]
    row, mapping, expected = {}, {}, {}
    for at, (how, text, normal) in enumerate(cases):
        column = f"x{at}"
        row[column] = text
        mapping[f"plain{at}"] = {"column": column, **how}
        expected[f"plain{at}"] = normal
        mapping[f"hashed{at}"] = {"column": column, "hash": "sha256", **how}
        expected[f"hashed{at}"] = hashlib.sha256(normal.encode()).hexdigest()
        mapping[f"md5_{at}"] = {"column": column, "hash": "md5", **how}
        expected[f"md5_{at}"] = hashlib.md5(normal.encode(), usedforsecurity=False).hexdigest()
    assert sent(town, peer, dict.fromkeys(row, "text"), row, **mapping) == expected


def test_what_is_a_hash_already_is_not_hashed_again(town: Town, peer: Peer) -> None:
    known = sha("dana@example.com")
    hows = ("email", "email_gmail", "phone", "phone_digits", "lower", "trim")
    mapping: dict[str, Any] = {how: {"column": "x", "hash": "sha256", "normalise": how} for how in hows}
    mapping["alone"] = {"column": "x", "hash": "sha256"}
    assert sent(town, peer, {"x": "text"}, {"x": known.upper()}, **mapping) == dict.fromkeys(mapping, known)


def test_null_and_empty_are_hashed_as_they_are(town: Town, peer: Peer) -> None:
    town.segment("vips", {"ada": {"x": None}, "bob": {"x": ""}}, {"x": "text"})
    town.audience(fields={"x": {"column": "x", "hash": "sha256"}}).sync()
    assert peer.members() == {"ada": {"x": None}, "bob": {"x": sha("")}}


def test_letters_beyond_ascii_are_hashed_alike_everywhere(town: Town, peer: Peer) -> None:
    found = sent(town, peer, {"x": "text"}, {"x": "MÜLLER@Example.de"}, x={**EMAIL, "column": "x"})
    assert found == {"x": sha("müller@example.de")}


# -- what counts as a change ------------------------------------------------------------------------------------------


def test_rows_that_look_alike_when_joined_are_told_apart(town: Town, peer: Peer) -> None:
    cases = [
        ((None, "x"), ("", "x")), (("", "x"), (None, "x")), (("ab", "c"), ("a", "bc")), ((None, "x"), ("x", None)),
        (("-", None), (None, "-")), (("+1:a", "b"), ("+1:a+1:b", "")),
    ]  # fmt: skip
    before, after = (
        {f"u{at}": dict(zip("ab", case[turn], strict=True)) for at, case in enumerate(cases)} for turn in (0, 1)
    )
    town.segment("vips", before, {"a": "text", "b": "text"}).audience(fields={"a": "a", "b": "b"}).sync()
    assert peer.members() == before
    town.later().segment("vips", after)
    assert town.sync().outcomes == {"accepted": len(cases)}
    assert peer.members() == after
    assert town.later().sync().outcomes == {}


def test_a_column_of_another_type_sends_nobody_again(town: Town, peer: Peer) -> None:
    cases = [
        ("integer", "5", "bigint", "5"),
        ("integer", "5", "numeric(12,2)", "5"),
        ("integer", "5", "numeric(12,0)", "5"),
        ("integer", "50", "double", "50"),
        ("integer", "5", "text", "'5'"),
        ("bigint", "-100", "numeric(20,4)", "-100"),
        ("numeric(12,2)", "5.50", "numeric(20,6)", "5.50"),
        ("numeric(12,2)", "5.50", "double", "5.5"),
        ("numeric(12,2)", "100.00", "bigint", "100"),
        ("real", "0.5", "double", "0.5"),
        ("date", "'2026-03-01'", "timestamp", "'2026-03-01'"),
        ("timestamp", "'2026-03-01 10:20:30'", "timestamptz", "'2026-03-01 10:20:30+00'"),
        ("timestamp", "'2026-03-01 10:20:30.5'", "timestamptz", "'2026-03-01 10:20:30.500+00'"),
        ("boolean", "true", "text", "'true'"),
        ("varchar(10)", "'a'", "text", "'a'"),
    ]
    columns = [f"x{at}" for at in range(len(cases))]  # of each case's own person; `bob` has nothing anywhere
    for turn in (0, 1):
        if "vips" in town.models:
            town.run(f"DROP TABLE {town.schema}.vips")
        kinds = [case[2 * turn] for case in cases]
        town.table("vips", {"user_id": "text", **dict(zip(columns, kinds, strict=True))})
        town.run(f"INSERT INTO {town.schema}.vips (user_id) VALUES ('bob')")
        for at, case in enumerate(cases):
            town.run(
                f"INSERT INTO {town.schema}.vips (user_id, x{at}) "
                f"VALUES ('u{at}', CAST({case[2 * turn + 1]} AS {case[2 * turn]}))"
            )
        peer.told.clear()
        report = town.audience(fields={name: name for name in columns}).later().sync()
        assert report.error is None
    assert (report.outcomes, peer.told) == ({}, [])
    for at in range(len(cases)):
        town.run(f"UPDATE {town.schema}.vips SET x{at} = NULL")
    assert town.later().sync().outcomes == {"accepted": len(cases)}


def test_the_order_of_the_fields_does_not_matter(town: Town, peer: Peer) -> None:
    town.segment("vips", {"ada": {"a": 1, "b": 2}}, {"a": "bigint", "b": "bigint"})
    town.audience(fields={"b": "b", "a": "a"}).sync()
    plan = town.audience(fields={"a": "a", "b": "b"}).later().plan()
    assert (plan.figures.changes, plan.withheld) == (0, ())


# -- another mapping --------------------------------------------------------------------------------------------------


def _remapped(town: Town, peer: Peer, **keys: Any) -> None:
    town.segment("vips", {"ada": {"a": 1, "b": 2}, "bob": {"a": 3, "b": 4}}, {"a": "bigint", "b": "bigint"})
    town.audience(fields={"a": "a"}).sync()
    peer.told.clear()
    town.audience(fields={"a": "a", "b": "b"}, **keys).later()
    town.put("vips", {"user_id": "cid", "a": 5, "b": 6})


def test_a_new_field_asks_before_everybody_is_sent_again(town: Town, peer: Peer) -> None:
    _remapped(town, peer)
    plan = town.plan(samples=2)
    assert withheld(plan) == {"remapped": 2}
    assert plan.samples["remapped"] == ["ada", "bob"]
    assert "rebaseline or resend" in plan.withheld[0].release
    assert town.sync().outcomes == {"accepted": 1}
    assert peer.members() == {"ada": {"a": 1}, "bob": {"a": 3}, "cid": {"a": 5, "b": 6}}, "new people have the new row"
    assert withheld(town.later().sync().plan) == {"remapped": 2}, "and it goes on asking"
    town.run(f"DELETE FROM {town.schema}.vips WHERE user_id = 'ada'")
    assert town.later().sync().outcomes == {"accepted": 1}, "who leaves meanwhile is taken out"


def test_rebaseline_sends_nothing_and_goes_on_from_there(town: Town, peer: Peer) -> None:
    _remapped(town, peer, on_new_mapping="rebaseline")
    report = town.sync()
    assert (report.outcomes, withheld(report.plan)) == ({"accepted": 1}, {})
    assert peer.told == [("vips", "add", "cid")]
    assert town.later().sync().outcomes == {}
    town.run(f"UPDATE {town.schema}.vips SET b = 9 WHERE user_id = 'ada'")
    town.later().sync()
    assert peer.told[1:] == [("vips", "update", "ada")]


def test_resend_sends_everybody_once(town: Town, peer: Peer) -> None:
    _remapped(town, peer, on_new_mapping="resend")
    assert town.sync().outcomes == {"accepted": 3}
    assert peer.members() == {"ada": {"a": 1, "b": 2}, "bob": {"a": 3, "b": 4}, "cid": {"a": 5, "b": 6}}
    assert town.later().sync().outcomes == {}


def test_a_mapping_taken_back_while_it_asks_leaves_nothing_to_ask(town: Town, peer: Peer) -> None:
    town.segment("vips", {"ada": {"a": 1}}, {"a": "bigint"}).audience(fields={"a": "a"}).sync()
    town.audience(fields={"b": "a"}).later().sync()
    report = town.audience(fields={"a": "a"}).later().sync()
    assert (report.outcomes, withheld(report.plan)) == ({}, {})


def test_another_identifier_waits_for_a_word_and_then_old_ones_go_and_new_ones_come(town: Town, peer: Peer) -> None:
    town.put("people", person("ada", email="ada@x.org"), person("bob", email="bob@x.org"))
    town.segment("vips", ["ada", "bob"]).audience().sync()
    peer.told.clear()
    town.audience(identify_by=EMAIL).later()
    for _ in range(2):
        assert withheld(town.later().sync().plan) == {"added": 2, "removed": 2}
    assert peer.told == []
    town.audience(identify_by=EMAIL, on_new_mapping="rebaseline")
    assert withheld(town.later().sync().plan) == {"added": 2, "removed": 2}, "identifiers cannot be taken for granted"
    town.audience(identify_by=EMAIL, on_new_mapping="resend")
    assert town.later().sync().outcomes == {"accepted": 4}
    assert [change for _, change, _ in peer.told] == ["remove", "remove", "add", "add"]
    assert set(peer.members()) == {sha("ada@x.org"), sha("bob@x.org")}
    assert town.later().sync().outcomes == {}


def test_a_plain_identifier_is_a_field_beside_the_key(town: Town, peer: Peer) -> None:
    town.put("people", person("ada", email=" Ada@X.org"))
    town.segment("vips", ["ada"]).audience(identify_by={"column": "email", "normalise": "email"}).sync()
    assert peer.members() == {"ada": {"email": "ada@x.org"}}


def test_a_new_address_replaces_the_old_one(town: Town, peer: Peer) -> None:
    town.put("people", person("ada", email="ada@x.org"))
    town.segment("vips", ["ada"]).audience(identify_by=EMAIL).sync()
    town.run(f"UPDATE {town.schema}.people SET email = 'ada@new.org'")
    town.later().sync()
    assert [change for _, change, _ in peer.told] == ["add", "remove", "add"]
    assert set(peer.members()) == {sha("ada@new.org")}


# -- rows that cannot be sent -----------------------------------------------------------------------------------------


def test_invalid_rows_are_told_with_their_reason_and_the_others_go_on(town: Town, peer: Peer) -> None:
    town.put(
        "people", person("ada", email="ada@x.org"), person("bad", email="nobody"), person("two", email="a@b@c.org"),
        person("nul", email=None), person("emp", email=" "), person("dup", email="ADA@x.org"), person("dbl", email="dbl@x.org"),
    )  # fmt: skip
    town.segment("vips", ["ada", "bad", "two", "nul", "emp", "dup", "dbl", "gone"])
    town.put("vips", {"user_id": "dbl"}, {"user_id": None}, {"user_id": ""})
    town.audience(identify_by=EMAIL)
    plan = town.plan(samples=5)
    assert plan.figures.invalid == {
        "bad_email": 2, "no_identifier": 3, "duplicate_identifier": 1, "duplicate_key": 2, "null_key": 2,
    }  # fmt: skip
    assert plan.samples["invalid: bad_email"] == ["bad", "two"]
    report = town.sync()
    assert (report.error, report.outcomes) == (None, {"accepted": 1})
    assert set(peer.members()) == {sha("ada@x.org")}
    told = town.rows("SELECT user_id, error_code FROM state.audience_changes WHERE status = 'invalid' ORDER BY user_id")
    assert [(row["user_id"], row["error_code"]) for row in told] == [
        ("bad", "bad_email"), ("dbl", "duplicate_key"), ("dup", "duplicate_identifier"), ("emp", "no_identifier"),
        ("gone", "no_identifier"), ("nul", "no_identifier"), ("two", "bad_email"),
    ]  # fmt: skip
    town.later().sync()
    again = town.rows("SELECT COUNT(*) AS n FROM state.audience_changes WHERE status = 'invalid'")
    assert again[0]["n"] == len(told), "each is told of once"


def test_a_bad_phone_number_is_told_apart(town: Town, peer: Peer) -> None:
    town.put(
        "people", person("ada", phone="+46 70 123 45 67"), person("bob", phone="12"), person("cid", phone="call me")
    )
    town.segment("vips", ["ada", "bob", "cid"])
    town.audience(identify_by={"column": "phone", "normalise": "phone", "hash": "sha256"})
    assert town.sync().outcomes == {"accepted": 1}
    assert set(peer.members()) == {sha("+46701234567")}
    assert town.plan().figures.invalid == {"bad_phone": 2}


def test_who_is_there_and_becomes_a_duplicate_is_not_taken_out(town: Town, peer: Peer) -> None:
    town.segment("vips", ["ada", "bob"]).audience().sync()
    town.later().put("vips", {"user_id": "ada"})
    assert town.sync().outcomes == {}
    assert set(peer.members()) == {"ada", "bob"}
    assert town.plan().figures.invalid == {"duplicate_key": 2}
    town.run(f"DELETE FROM {town.schema}.vips")
    town.later().sync()
    assert peer.members() == {}, "but who leaves is"


def test_of_two_who_share_an_identifier_a_wanted_one_stands_for_it(town: Town, peer: Peer) -> None:
    town.put("people", person("ada", email="us@x.org"), person("bob", email="us@x.org"))
    town.segment("banned", ["zoe"])
    town.segment("vips", ["ada", "bob"]).audience(identify_by=EMAIL, exclude=["banned"]).sync()
    assert [change for _, change, _ in peer.told] == ["add"]
    town.later().segment("vips", ["bob"]).sync()
    assert set(peer.members()) == {sha("us@x.org")}, "the other keeps it there"
    town.segment("banned", ["ada"])
    town.later().segment("vips", ["ada", "bob"]).sync()
    assert peer.members() == {}, "whoever is excluded bars the identifier"


def test_somebody_with_two_profiles_does_not_hide_that_another_shares_the_identifier(town: Town, peer: Peer) -> None:
    town.put("people", person("ada", email="ada@x.org"), person("bob", email="bob@x.org"))
    town.segment("vips", ["ada", "bob"]).audience(identify_by=EMAIL).sync()
    town.later().put("people", person("ada", email="bob@x.org"))
    assert town.plan().figures.invalid == {"duplicate_key": 2, "duplicate_identifier": 1}


def test_numbers_can_be_keys(town: Town, peer: Peer) -> None:
    town.table("vips", {"user_id": "bigint", "x": "text"})
    town.put("vips", {"user_id": 7, "x": "a"})
    town.audience(fields={"x": "x"}).sync()
    assert peer.members() == {"7": {"x": "a"}}
    assert "user_id" in PEOPLE
    assert town.later().sync().outcomes == {}
