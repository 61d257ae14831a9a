"""A field's `cast`: what each type takes, alike on every warehouse, and what becomes of a row that cannot be cast."""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Context, Decimal
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from activate.compile.casts import cast_value
from activate.families import castable
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB
from activate.warehouses.postgres import Postgres
from tests.audiences.town import Peer, Town

BAD = "BAD"
_NUMBERS = count(1)
NOON = dt.datetime(2026, 1, 2, 12)


# Unlike the rest of this folder also on PostgreSQL: the readings of texts are what the two differ in.
@pytest.fixture(params=["duckdb", "postgres"])
def either(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    if request.param == "duckdb":
        opened: Warehouse = DuckDB.open(":memory:")
    else:
        opened = Postgres.open(request.getfixturevalue("postgres_server"))
    yield opened
    opened.close()


def all_cast(warehouse: Warehouse, values: list[Any], kind: str, target: str) -> list[Any]:
    """Each value as `target`, or BAD; all in one statement, as an audience's rows are."""
    number = next(_NUMBERS)
    texts = pa.table(
        {"at": range(len(values)), "t": pa.array([None if v is None else str(v) for v in values], pa.string())}
    )
    warehouse.execute(sqlglot.parse_one(f"CREATE TEMPORARY TABLE texts_{number} (at BIGINT, t TEXT)"))
    warehouse.ingest(f"texts_{number}", texts)
    typed = f"CREATE TEMPORARY TABLE typed_{number} AS SELECT at, CAST(t AS {kind}) AS x FROM texts_{number}"
    warehouse.execute(sqlglot.parse_one(typed, read="postgres"))
    made, is_bad = cast_value(exp.column("x", table="o"), kind, target, warehouse)
    query = exp.select(exp.alias_(made, "made"), exp.alias_(is_bad or exp.false(), "bad"))
    found = warehouse.query(query.from_(f"typed_{number} AS o").order_by("o.at")).to_pylist()
    # PostgreSQL's driver gives a NUMERIC as text.
    read = Decimal if target == "decimal" else lambda made: made
    return [BAD if row["bad"] else None if row["made"] is None else read(row["made"]) for row in found]


# -- what is taken, and what is not -----------------------------------------------------------------------------------

INTEGERS = {
    "5": 5, " 5\n": 5, "+5": 5, "-0": 0, "007": 7, "5.0": 5, "5.": 5, "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -(2**63), "9223372036854775808": BAD, "-9223372036854775809": BAD, "9" * 40: BAD,
    "9" * 1001: BAD, "2.5": BAD, "1e3": BAD, "0x10": BAD, "1_000": BAD, "1,000": BAD, "": BAD, " ": BAD, "NaN": BAD,
    "five": BAD, "5 5": BAD, "٥": BAD, "--5": BAD, "null": BAD,
}  # fmt: skip
DECIMALS = {
    "2.5": Decimal("2.5"), ".5": Decimal("0.5"), "5.": Decimal(5), " -1.25 ": Decimal("-1.25"), "1e3": Decimal(1000),
    "1E-3": Decimal("0.001"), "1e-12": Decimal(0), "9" * 29: Decimal("9" * 29), "1" + "0" * 29: BAD,
    "9" * 29 + ".9999999999": BAD, "1e40": BAD, "1e999": BAD, "1e-999": Decimal(0), "NaN": BAD, "Infinity": BAD,
    "-inf": BAD, "": BAD, ".": BAD, "1e": BAD, "2,5": BAD, "$5": BAD, "5%": BAD,
}  # fmt: skip
BOOLEANS = {
    "true": True, "T": True, " Yes ": True, "y": True, "ON": True, "1": True, "false": False, "F": False, "no": False,
    "N": False, "off": False, "0": False, "2": BAD, "": BAD, "truth": BAD, "tr": BAD, "NaN": BAD,
}  # fmt: skip
DATES = {
    "2026-01-02": dt.date(2026, 1, 2), " 2026-01-02 ": dt.date(2026, 1, 2), "2028-02-29": dt.date(2028, 2, 29),
    "2000-02-29": dt.date(2000, 2, 29), "2026-01-02 23:59:59.9": dt.date(2026, 1, 2), "0001-01-01": dt.date(1, 1, 1),
    "2026-01-02T00:30:00+01:00": dt.date(2026, 1, 1), "9999-12-31": dt.date(9999, 12, 31), "2026-02-29": BAD,
    "2026-02-30": BAD, "1900-02-29": BAD, "2026-04-31": BAD, "2026-13-01": BAD, "2026-00-10": BAD, "2026-01-00": BAD,
    "0000-01-01": BAD, "2026-1-2": BAD, "02.01.2026": BAD, "01/02/2026": BAD, "20260102": BAD, "today": BAD, "now": BAD,
    "infinity": BAD, "epoch": BAD, "": BAD, "10000-01-01": BAD, "2026-01-02 24:00": BAD, "2026-01-02 (BC)": BAD,
    "2026-01-02 BC": BAD,
}  # fmt: skip
TIMESTAMPS = {
    "2026-01-02": dt.datetime(2026, 1, 2), "2026-01-02 12:00": NOON, "2026-01-02T12:00:00": NOON,
    "2026-01-02T12:00:00.5": NOON.replace(microsecond=500_000), "2026-01-02T12:00:00Z": NOON,
    "2026-01-02T12:00:00.000Z": NOON, "2026-01-02 14:00:00+02": NOON, "2026-01-02T17:30:00+0530": NOON,
    "2026-01-02T04:00:00-08:00": NOON, "2026-01-02 24:00:00": BAD, "2026-01-02 12:60": BAD, "2026-01-02 12:00:60": BAD,
    "2026-01-02 12": BAD, "2026-01-02 12:00 CET": BAD, "2026-01-02 12:00+25": BAD, "2026-02-30 12:00": BAD, "now": BAD,
    "-infinity": BAD, "1767355200": BAD, "noon": BAD, "": BAD,
}  # fmt: skip


TEXTS = {"integer": INTEGERS, "decimal": DECIMALS, "boolean": BOOLEANS, "date": DATES, "timestamp": TIMESTAMPS}
COLUMNS: list[tuple[str, str, dict[Any, Any]]] = [
    ("double precision", "integer", {9.2e18: 9_200_000_000_000_000_000, 9.3e18: BAD, -9.3e18: BAD, 2.0**63: BAD,
                                     -(2.0**63): -(2**63), 1e300: BAD, 2.75: 3, "NaN": None, "Infinity": None}),
    ("double precision", "decimal", {2.5: Decimal("2.5"), 1e28: Decimal(10**28), 0.1: Decimal("0.1"),
                                     123456789.1234567: Decimal("123456789.1234567"), 1e29: BAD, 1e300: BAD, "NaN": None}),
    ("double precision", "boolean", {0: False, 0.5: True, "NaN": None}),
    ("decimal(38,2)", "integer", {"2.49": 2, "9223372036854775807.40": 2**63 - 1, "9223372036854775807.60": BAD,
                                  "-9223372036854775809": BAD}),
    ("decimal(38,0)", "decimal", {"9" * 29: Decimal("9" * 29), "1" + "0" * 29: BAD}),
    ("bigint", "decimal", {2**63 - 1: Decimal(2**63 - 1)}),
    ("bigint", "boolean", {0: False, 7: True}),
    ("boolean", "integer", {"true": 1, "false": 0}),
    ("boolean", "decimal", {"true": Decimal(1)}),
    ("boolean", "boolean", {"true": True}),
    ("boolean", "text", {"true": "true"}),
    ("date", "timestamp", {"2026-01-02": dt.datetime(2026, 1, 2)}),
    ("timestamp", "date", {"2026-01-02 23:59": dt.date(2026, 1, 2)}),
    ("timestamp with time zone", "date", {"2026-01-02 00:30+02": dt.date(2026, 1, 1)}),
    ("json", "integer", {"5": 5, '"5"': 5, '"x"': BAD, "null": None, "{}": BAD, "true": BAD}),
    ("json", "boolean", {"true": True, '"no"': False}),
    ("json", "date", {'"2026-01-02"': dt.date(2026, 1, 2), '"2026-02-30"': BAD}),
    ("timestamp", "integer", {"2026-01-02": BAD}),
    ("bigint", "date", {20260102: BAD}),
]  # fmt: skip


def test_what_a_text_may_say_is_the_same_on_every_warehouse(either: Warehouse) -> None:
    for target, cases in TEXTS.items():
        found = all_cast(either, [*cases, None], "text", target)
        assert dict(zip(cases, found, strict=False)) == cases
        assert found[-1] is None, "a missing value is missing, not wrong"


def test_what_a_column_of_another_type_gives(either: Warehouse) -> None:
    for kind, target, cases in COLUMNS:
        found = all_cast(either, list(cases), kind, target)
        assert (kind, target, dict(zip(cases, found, strict=True))) == (kind, target, cases)


def test_casts_agree_with_a_reading_in_plain_python(either: Warehouse) -> None:
    """Texts made at random from the pieces that dates and numbers are made of."""
    chance = random.Random(7)
    pieces = [
        "0",
        "1",
        "2",
        "9",
        "12",
        "29",
        "30",
        "31",
        "-",
        "-02-",
        "-04-",
        ".",
        ":",
        "e",
        "+",
        " ",
        "2024",
        "2026-",
        "T",
        "Z",
    ]
    texts = ["".join(chance.choices(pieces, k=chance.randint(1, 6))) for _ in range(1500)]
    texts += [f"{year:04}-{month:02}-{day:02}" for year in (0, 4, 1900, 2000, 2023, 2024, 2100) for month in (2, 4, 12, 13)
              for day in (0, 1, 28, 29, 30, 31, 32)]  # fmt: skip
    for target, read in (("integer", _integer), ("decimal", _decimal), ("date", _date)):
        expected = [read(text.strip(" \t\r\n")) for text in texts]
        found = all_cast(either, texts, "text", target)
        differ = {text: (want, got) for text, want, got in zip(texts, expected, found, strict=True) if want != got}
        assert not differ


def _integer(text: str) -> Any:
    if not re.fullmatch(r"[+-]?[0-9]+(\.0*)?", text):
        return BAD
    number = int(text.split(".", maxsplit=1)[0])
    return number if -(2**63) <= number < 2**63 else BAD


def _decimal(text: str) -> Any:
    if not re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", text):
        return BAD
    number = Decimal(text).quantize(Decimal("1e-9"), ROUND_HALF_UP, Context(prec=2000))
    return number if abs(number) < 10**29 else BAD


def _date(text: str) -> Any:
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d %H:%MZ"):
        whole = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}Z?)?"
        try:
            if re.fullmatch(whole, text):
                return dt.datetime.strptime(text, form).date()
        except ValueError:
            continue
    return BAD


@pytest.mark.parametrize(
    ("type_name", "target", "expected"),
    [
        ("bigint", "date", False), ("double", "timestamp", False), ("boolean", "date", False), ("date", "integer", False),
        ("timestamp", "boolean", False), ("text", "date", True), ("date", "timestamp", True), ("json", "integer", True),
        ("timestamp", "text", True), ("my_domain", "date", True), ("boolean", "integer", True),
    ],
)  # fmt: skip
def test_what_no_value_of_a_type_can_be_is_known_beforehand(type_name: str, target: str, expected: bool) -> None:
    assert castable(type_name, target) is expected


# -- in an audience ---------------------------------------------------------------------------------------------------

BORN = {"born": {"column": "born", "cast": "date"}}


def test_a_row_whose_value_cannot_be_cast_is_invalid_and_the_others_go_on(town: Town, peer: Peer) -> None:
    rows = {"ada": {"born": "1815-12-10"}, "bob": {"born": "1815-02-30"}, "cyd": {"born": None}}
    town.segment("vips", rows, {"born": "text"}).audience(fields=BORN)
    plan = town.plan(samples=3)
    assert plan.figures.invalid == {"bad_date: born": 1}
    assert plan.samples["invalid: bad_date: born"] == ["bob"]
    assert town.sync().outcomes == {"accepted": 2}
    assert peer.members() == {"ada": {"born": "1815-12-10"}, "cyd": {"born": None}}
    told = town.rows("SELECT user_id, status, error_code, error FROM state.audience_changes WHERE status = 'invalid'")
    assert told == [{"user_id": "bob", "status": "invalid", "error_code": "bad_date: born", "error": None}]


def test_a_member_whose_value_cannot_be_cast_any_more_stays_as_the_destination_has_them(town: Town, peer: Peer) -> None:
    town.segment("vips", {"ada": {"born": "1815-12-10"}}, {"born": "text"}).audience(fields=BORN).sync()
    town.later().segment("vips", {"ada": {"born": "unknown"}})
    assert town.sync().outcomes == {}
    assert peer.members() == {"ada": {"born": "1815-12-10"}}
    town.later().segment("vips", {"ada": {"born": "1815-12-11"}})
    assert town.sync().outcomes == {"accepted": 1}
    assert peer.members() == {"ada": {"born": "1815-12-11"}}


def test_a_value_of_the_profiles_that_cannot_be_cast_is_found_too(town: Town, peer: Peer) -> None:
    town.put("people", {"user_id": "ada", "first_name": "7"}, {"user_id": "bob", "first_name": "Bob"})
    town.segment("vips", ["ada", "bob"]).audience(fields={"n": {"column": "first_name", "cast": "integer"}}).sync()
    assert peer.members() == {"ada": {"n": 7}}


def test_a_text_is_made_uniform_before_it_is_cast(town: Town, peer: Peer) -> None:
    fields = {"n": {"column": "n", "normalise": "phone_digits", "cast": "integer"}}
    town.segment("vips", {"ada": {"n": "+49 (30) 1234567"}}, {"n": "text"}).audience(fields=fields).sync()
    assert peer.members() == {"ada": {"n": 49301234567}}


def test_of_two_who_share_an_identifier_the_one_that_can_be_cast_stands_for_it(town: Town, peer: Peer) -> None:
    rows = {"ada": {"mail": "a@example.com", "n": "x"}, "bob": {"mail": "a@example.com", "n": "5"}}
    town.segment("vips", rows, {"mail": "text", "n": "text"})
    town.audience(
        identify_by={"column": "mail", "normalise": "email", "hash": "sha256"},
        fields={"n": {"column": "n", "cast": "integer"}},
    ).sync()
    assert list(peer.members().values()) == [{"n": 5}]


def test_an_audience_of_a_higher_priority_keeps_only_whom_it_can_send(town: Town, peer: Peer) -> None:
    town.segment("vips", {"ada": {"n": "x"}, "bob": {"n": "5"}}, {"n": "text"})
    town.audience("first", segment="vips", priority=9, fields={"n": {"column": "n", "cast": "integer"}})
    town.audience("second", segment="vips", priority=1)
    town.sync("first")
    town.sync("second")
    assert (set(peer.members("first")), set(peer.members("second"))) == ({"bob"}, {"ada"})
