"""Golden tests: what each advertising platform documents of its identifiers is what is sent, hashed in the warehouse.

Sources: Meta, guides/custom-audiences ("Hashing and Normalization": addresses trimmed and in lower case; phone numbers as
digits with the country code, without symbols and leading zeros). Google Ads API, customer-match ("remove leading or trailing
white space, lower case, E.164"; no word of dots). Google's Data Manager API, get-started/formatting and its library
google-ads-datamanager-util 0.4 (which also drops what follows a plus sign). TikTok, "List of supported IDs and formats for a
customer file", with two published hashes.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.audiences.town import Peer, Town, sha


def sent(town: Town, peer: Peer, *texts: str | None, **how: Any) -> list[str | None]:
    """What the destination holds of people with these identifiers, one each; None: nothing was sent of that person."""
    users = [f"u{at}" for at in range(len(texts))]
    town.put("people", *({"user_id": user, "email": text} for user, text in zip(users, texts, strict=True)))
    town.segment("vips", users).audience(identify_by={"column": "email", "hash": "sha256", **how}).sync()
    rows = town.rows("SELECT user_id, member FROM state.audience_changes WHERE status = 'accepted'")
    found = {row["user_id"]: row["member"] for row in rows}
    assert set(peer.members()) == set(found.values())
    return [found.get(user) for user in users]


@pytest.mark.parametrize("how", ["email", "email_gmail"])
def test_an_address_is_the_same_person_however_it_is_written(town: Town, peer: Peer, how: str) -> None:
    texts = ["a@example.com", "B@example.com", " C@EXAMPLE.COM\n", "\td@Example.com", "e@example.com\u00a0"]
    assert sent(town, peer, *texts, normalise=how) == [sha(f"{name}@example.com") for name in "abcde"]


@pytest.mark.parametrize(
    ("how", "normal"),
    [
        # Meta, the Google Ads API and TikTok leave dots and plus signs alone.
        ("email", {"D.a.na+Shop@gmail.com": "d.a.na+shop@gmail.com"}),
        # The Data Manager API does not, for Gmail and nobody else; these are the results of Google's library.
        (
            "email_gmail",
            {
                "D.a.na+Shop@gmail.com": "dana@gmail.com",
                "d.a.na@googlemail.com": "dana@googlemail.com",
                "d.a.na+shop@example.com": "d.a.na+shop@example.com",
                "d.a.na@mail.gmail.com": "d.a.na@mail.gmail.com",
            },
        ),
    ],
)
def test_dots_of_gmail_stay_unless_the_platform_wants_them_gone(
    town: Town, peer: Peer, how: str, normal: dict[str, str]
) -> None:
    assert sent(town, peer, *normal, normalise=how) == [sha(text) for text in normal.values()]


@pytest.mark.parametrize(
    ("more", "digits"),
    [
        ({"country_code": "+1"}, {"(800) 555-0100": "18005550100"}),
        ({}, {"+1 800 5550102": "18005550102", "+374-93-828222": "37493828222", "0049 (30) 901820": "4930901820"}),
        ({"country_code": "+49"}, {"030 / 901820": "4930901820", "+49.30.901821": "4930901821"}),
    ],
)
@pytest.mark.parametrize(("how", "sign"), [("phone", "+"), ("phone_digits", "")])
def test_a_phone_number_is_e164_for_google_and_digits_for_meta(
    town: Town, peer: Peer, more: dict[str, Any], digits: dict[str, str], how: str, sign: str
) -> None:
    expected = [sha(f"{sign}{number}") for number in digits.values()]
    assert sent(town, peer, *digits, normalise=how, **more) == expected


def test_tiktoks_published_hashes_are_ours(town: Town, peer: Peer) -> None:
    published = "d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69"
    assert sent(town, peer, " JaneDoe@gmail.com", normalise="email") == [published]


def test_tiktoks_published_hash_of_a_phone_number_is_that_of_its_digits(town: Town, peer: Peer) -> None:
    """The page asks for a plus sign, and shows the hash of the number without one; it takes both."""
    published = "65b7e6dcf6f4310f8d7cbfbd78289a753062fb054d6664fb9aaac5df66a422d4"
    assert sent(town, peer, "+37493828222", normalise="phone_digits") == [published]


@pytest.mark.parametrize("how", ["email", "email_gmail", "phone", "phone_digits"])
def test_a_hash_is_not_hashed_again(town: Town, peer: Peer, how: str) -> None:
    known = sha("dana@example.com")
    assert sent(town, peer, known.upper(), normalise=how) == [known]


def test_what_is_no_address_is_sent_to_nobody(town: Town, peer: Peer) -> None:
    texts = ["", "   ", "dana", "dana@", "@example.com", "a@b@example.com", "dana@example", None]
    assert sent(town, peer, *texts, normalise="email") == [None] * len(texts)
    assert peer.told == []
