"""Audiences in SQL tables, on DuckDB and PostgreSQL alike."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from activate.deliver.carry import InDoubt, NotTaken, Refused
from activate.deliver.tables import TableCarrier
from activate.destinations.base import Changes
from activate.destinations.table import Table
from activate.errors import SettingsError, WarehouseError
from activate.providers.base import Unusable
from activate.providers.options import check_options, read_options
from activate.warehouses.base import Warehouse
from activate.warehouses.duckdb import DuckDB

NOW = dt.datetime(2026, 11, 22, 10)
Rows = dict[str, Any]


class Crm:
    """A warehouse with a destination's tables, and one carrier to them."""

    def __init__(self, open_warehouse: Callable[[], Warehouse]) -> None:
        self.warehouse = open_warehouse()
        self.carrier = TableCarrier(lambda target: open_warehouse())
        self.destination = table()

    def run(self, *statements: str) -> Crm:
        for statement in statements:
            self.warehouse.execute(statement)
        return self

    def put(self, rows: Rows, audience: str = "vip") -> Crm:
        self.carrier.carry(self.destination.build(changes("upsert", rows, audience), NOW))
        return self

    def take(self, *members: str, audience: str = "vip") -> Crm:
        self.carrier.carry(self.destination.build(changes("remove", {"_member": list(members)}, audience), NOW))
        return self

    def members(self, audience: str = "vip") -> list[str]:
        found = self.carrier.members(self.destination.ask_members(audience))
        return sorted(member for batch in found for member in batch)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        found = self.warehouse.query(sql)
        return sorted((tuple(row.values()) for row in found.to_pylist()), key=repr)


def table(**options: Any) -> Table:
    given = {"table": "crm.vip", **options}
    assert check_options(Table.all_options(), given, resolved=True) + Table.conflicts(given) == []
    return Table("crm", read_options(Table.all_options(), given))


def changes(phase: Any, rows: Rows, audience: str = "vip") -> Changes:
    count = len(rows["_member"])
    kind = "remove" if phase == "remove" else "add"
    columns = {"_member": pa.array(rows["_member"], pa.string()), "_user_id": pa.array([f"u{n}" for n in range(count)]),
               "_change": pa.array([kind] * count)}  # fmt: skip
    columns |= {name: value if isinstance(value, pa.Array) else pa.array(value) for name, value in rows.items()
                if name != "_member"}  # fmt: skip
    return Changes(audience, "20261122T100000Z", phase, pa.RecordBatch.from_pydict(columns))


@pytest.fixture(params=["duckdb", "postgres"])
def crm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crm]:
    if request.param == "duckdb":
        first = DuckDB.open(str(tmp_path / "shop.duckdb"))
        made = Crm(first.clone)
    else:
        from activate.warehouses.postgres import Postgres

        server = request.getfixturevalue("postgres_server")
        made = Crm(lambda: Postgres.open(server))
    yield made
    made.carrier.close()
    made.warehouse.close()


def test_a_table_is_made_filled_updated_and_emptied(crm: Crm) -> None:
    crm.take("a")  # nothing is there to be taken out of
    assert crm.members() == []
    crm.put({"_member": ["a", "b", "c"], "score": [1, 2, None], "city": ["Bonn", "Köln", ""]})
    crm.put({"_member": ["b", "d"], "score": [20, 40], "city": ["Ulm", None]}).take("a", "unheard of")
    assert crm.rows('SELECT user_id, score, city FROM "crm"."vip"') == [
        ("b", 20, "Ulm"),
        ("c", None, ""),
        ("d", 40, None),
    ]
    assert crm.members() == ["b", "c", "d"]


def test_a_batch_handed_over_again_changes_nothing(crm: Crm) -> None:
    for _ in range(3):
        crm.put({"_member": ["a", "b"], "score": [1, 2]})
    assert crm.rows("SELECT * FROM crm.vip") == [("a", 1), ("b", 2)]
    for _ in range(2):
        crm.take("a")
    assert crm.members() == ["b"]


def test_an_audience_without_fields_is_a_list_of_keys(crm: Crm) -> None:
    crm.put({"_member": ["a", "b"]}).put({"_member": ["b", "c"]}).take("a")
    assert crm.rows("SELECT * FROM crm.vip") == [("b",), ("c",)]


def test_people_who_share_a_key_have_one_row(crm: Crm) -> None:
    crm.put({"_member": ["a", "a", "b"], "n": [1, 2, 3]}).put({"_member": ["a", "a"], "n": [4, 5]})
    assert crm.rows("SELECT * FROM crm.vip") == [("a", 4), ("b", 3)]
    crm.run("CREATE TABLE crm.numbers (user_id bigint)")
    crm.destination = table(table="crm.numbers")
    crm.put({"_member": ["1", "01"]})
    assert crm.rows("SELECT * FROM crm.numbers") == [(1,)]


def test_two_audiences_share_a_table(crm: Crm) -> None:
    crm.destination = table(table="crm.lists", audience_column="list", key="person")
    crm.put({"_member": ["a", "b"], "n": [1, 2]}, "vip").put({"_member": ["b", "c"], "n": [3, 4]}, "lapsed")
    crm.take("b", audience="lapsed").put({"_member": ["b"], "n": [5]}, "vip")
    assert crm.rows("SELECT list, person, n FROM crm.lists") == [("lapsed", "c", 4), ("vip", "a", 1), ("vip", "b", 5)]
    assert (crm.members("vip"), crm.members("lapsed"), crm.members("none")) == (["a", "b"], ["c"], [])


def test_a_table_of_ones_own_keeps_its_types_and_further_columns(crm: Crm) -> None:
    crm.run(
        "CREATE SCHEMA crm",
        "CREATE TABLE crm.vip (id bigint PRIMARY KEY, note text DEFAULT 'new', score numeric(12, 2), "
        "seen timestamp, active boolean, extra json)",
        "INSERT INTO crm.vip VALUES (7, 'mine', 1, NULL, NULL, NULL)",
    )
    crm.destination = table(key="id", create=False)
    seen = dt.datetime(2026, 1, 2, 3, 4, 5)
    crm.put({
        "_member": ["7", "8"], "score": pa.array([3, 4], pa.int32()), "seen": [seen.isoformat(), None],
        "active": [True, False], "extra": ['{"a": [1]}', None],
    })  # fmt: skip
    assert crm.rows("SELECT id, note, score, seen, active, CAST(extra AS text) FROM crm.vip") == [
        (7, "mine", _decimal(crm, "3.00"), seen, True, '{"a": [1]}'), (8, "new", _decimal(crm, "4.00"), None, False, None),
    ]  # fmt: skip
    assert crm.take("7").members() == ["8"]


def _decimal(crm: Crm, text: str) -> object:
    return decimal.Decimal(text) if crm.warehouse.name == "duckdb" else text


def test_a_table_is_made_with_the_types_of_the_segment(crm: Crm) -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 678901)
    fields = {
        "i": pa.array([2**62]), "f": pa.array([0.1]), "b": pa.array([True]), "d": pa.array([dt.date(2026, 1, 2)]),
        "t": pa.array([moment]), "z": pa.array([moment], pa.timestamp("us", "UTC")),
        "n": pa.array([decimal.Decimal("12.345")], pa.decimal128(20, 3)), "u": pa.array([2**64 - 1], pa.uint64()),
        "o": pa.ExtensionArray.from_storage(pa.opaque(pa.string(), "numeric", "PostgreSQL"), pa.array(["0.25"])),
        "j": pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":1}'])), "l": pa.array([["x", "y"]]),
        "c": pa.array(["low"]).dictionary_encode(), "nothing": pa.nulls(1), "bytes": pa.array([b"\x00\xff"]),
        "id": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)], pa.binary(16))),
    }  # fmt: skip
    crm.put({"_member": ["a"], **fields}).put({"_member": ["a"], **fields})
    row = crm.warehouse.query("SELECT * FROM crm.vip").to_pylist()[0]
    told = {name: row[name] for name in ("i", "f", "b", "d", "t", "l", "c", "nothing", "bytes", "j")}
    assert told == {
        "i": 2**62, "f": 0.1, "b": True, "d": dt.date(2026, 1, 2), "t": moment, "l": ["x", "y"], "c": "low", "nothing": None,
        "bytes": b"\x00\xff", "j": '{"a":1}',
    }  # fmt: skip
    assert row["z"] == moment.replace(tzinfo=dt.UTC)
    assert (decimal.Decimal(row["n"]), decimal.Decimal(row["o"])) == (
        decimal.Decimal("12.345"),
        decimal.Decimal("0.25"),
    )
    assert int(decimal.Decimal(row["u"])) == 2**64 - 1
    assert str(row["id"]) == "00000000-0000-0000-0000-000000000000"


def test_awkward_names_and_values_are_taken_as_they_are(crm: Crm) -> None:
    crm.destination = table(table='"my crm"."A ""list"" of {audience}"', key="Key; --", audience_column="select")
    values = ["o'brien", 'a"b', "zeile\nzwei", "😀é", "", "%s", "'; DROP TABLE x; --"]
    crm.put({"_member": values, "Größe in m²": values, "order": values})
    assert crm.members() == sorted(values)
    assert crm.take(*values[:3]).members() == sorted(values[3:])
    assert crm.rows('SELECT "Größe in m²" FROM "my crm"."A ""list"" of vip"') == sorted(
        ((value,) for value in values[3:]), key=repr
    )


@pytest.mark.parametrize("column", ["integer", "timestamp", "json", "boolean"])
def test_a_value_that_cannot_be_cast_is_refused_and_nothing_is_taken(crm: Crm, column: str) -> None:
    crm.run("CREATE SCHEMA crm", f"CREATE TABLE crm.vip (user_id text, score {column})")
    with pytest.raises(Refused) as refused:
        crm.put({"_member": ["a", "b"], "score": [None, "{poison"]})
    assert crm.members() == []
    assert "poison" not in repr(refused.value)
    assert crm.put({"_member": ["a"], "score": [None]}).members() == ["a"]


def test_a_constraint_refuses_a_batch(crm: Crm) -> None:
    crm.run("CREATE SCHEMA crm", "CREATE TABLE crm.vip (user_id text, score integer NOT NULL CHECK (score > 0))")
    for score in (None, -5):
        with pytest.raises(Refused) as refused:
            crm.put({"_member": ["a", "b"], "score": [1, score]})
        assert refused.value.code in ("duckdb_constraint", "sqlstate_23502", "sqlstate_23514")
    with pytest.raises(Refused, match="no_member"):
        crm.put({"_member": ["a", None], "score": [1, 1]})
    assert crm.members() == []


def test_a_missing_column_or_table_is_named(crm: Crm) -> None:
    crm.run("CREATE SCHEMA crm", "CREATE TABLE crm.vip (user_id text, first_name text)")
    with pytest.raises(
        Unusable, match=r"no column 'frist_name'; it has: user_id, first_name; did you mean 'first_name'\?"
    ):
        crm.put({"_member": ["a"], "frist_name": ["Ann"]})
    with pytest.raises(Unusable, match="'user_id' has the name of the key"):
        crm.put({"_member": ["a"], "user_id": ["Ann"]})
    with pytest.raises(Unusable, match="'s' is a struct<a: int64>, which no column holds"):
        crm.put({"_member": ["a"], "s": [{"a": 1}]})
    crm.destination = table(table="crm.other", create=False)
    for ask in (lambda: crm.put({"_member": ["a"]}), lambda: crm.take("a"), crm.members):
        with pytest.raises(Unusable, match="crm.other does not exist"):
            ask()


def test_an_empty_batch_does_nothing(crm: Crm) -> None:
    assert crm.put({"_member": []}).members() == []


def test_members_stream_in_batches(crm: Crm) -> None:
    crm.put({"_member": [str(n) for n in range(120_000)]})
    batches = list(crm.carrier.members(crm.destination.ask_members("vip")))
    assert sum(len(batch) for batch in batches) == 120_000
    assert max(len(batch) for batch in batches) <= 65_536


def test_a_connection_that_cannot_be_had_takes_nothing() -> None:
    for error, kind in (
        (WarehouseError("down"), NotTaken), (SettingsError("no target 'crm'"), Unusable)
    ):  # fmt: skip

        def refuse(target: str | None, error: Exception = error) -> Warehouse:
            assert target == "crm"
            raise error

        carrier = TableCarrier(refuse)
        with pytest.raises(kind):
            carrier.carry(table(target="crm").build(changes("upsert", {"_member": ["a"]}), NOW))


@pytest.fixture
def postgres_crm(postgres_server: str) -> Iterator[Crm]:
    from activate.warehouses.postgres import Postgres

    made = Crm(lambda: Postgres.open(postgres_server))
    yield made
    made.carrier.close()
    made.warehouse.close()


def test_a_connection_lost_before_the_commit_takes_nothing_and_is_made_anew(postgres_crm: Crm) -> None:
    crm = postgres_crm.put({"_member": ["a"]})
    crm.warehouse.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = "
        "'client backend' AND datname = current_database()"
    )
    with pytest.raises(NotTaken):
        crm.put({"_member": ["b"]})
    assert crm.put({"_member": ["b"]}).members() == ["a", "b"]


def test_a_connection_lost_during_the_commit_leaves_doubt(postgres_crm: Crm) -> None:
    crm = postgres_crm.put({"_member": ["a"]}).run(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'",
        "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON crm.vip DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()",
    )
    with pytest.raises(InDoubt):
        crm.put({"_member": ["b"]})
    crm.run("DROP TRIGGER die ON crm.vip")
    assert crm.put({"_member": ["b"]}).members() == ["a", "b"]


def test_a_constraint_checked_at_the_commit_refuses_the_batch(postgres_crm: Crm) -> None:
    crm = postgres_crm.run(
        "CREATE SCHEMA crm", "CREATE TABLE crm.city (name text PRIMARY KEY)",
        "CREATE TABLE crm.vip (user_id text, city text REFERENCES crm.city DEFERRABLE INITIALLY DEFERRED)",
    )  # fmt: skip
    with pytest.raises(Refused, match="sqlstate_23503"):
        crm.put({"_member": ["a"], "city": ["Atlantis"]})


def test_a_missing_right_makes_the_table_unusable(postgres_crm: Crm) -> None:
    crm = postgres_crm.put({"_member": ["a"]}).run("CREATE ROLE nobody_at_all", "SET ROLE nobody_at_all")
    carrier = TableCarrier(lambda target: crm.warehouse)
    try:
        with pytest.raises(Unusable, match="permission denied for schema crm"):
            carrier.carry(crm.destination.build(changes("upsert", {"_member": ["secret@example.com"]}), NOW))
    finally:
        crm.run("RESET ROLE", "DROP ROLE nobody_at_all")


def test_a_deadlock_or_a_lock_is_worth_another_try(postgres_crm: Crm) -> None:
    crm = postgres_crm.put({"_member": ["a"], "n": [1]})

    def impatient(target: str | None) -> Warehouse:
        warehouse = crm.warehouse.clone()
        warehouse.execute("SET lock_timeout = '50ms'")
        return warehouse

    carrier = TableCarrier(impatient)
    request = crm.destination.build(changes("upsert", {"_member": ["a"], "n": [2]}), NOW)
    with crm.warehouse.transaction():
        crm.warehouse.execute("LOCK TABLE crm.vip")
        with pytest.raises(NotTaken, match="sqlstate_55P03"):
            carrier.carry(request)
    carrier.carry(request)
    assert crm.rows("SELECT n FROM crm.vip") == [(2,)]
    carrier.close()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "'table' is missing"),
        ({"table": "vip"}, "write schema.name"),
        ({"table": "a.b.c.d"}, "write schema.name"),
        ({"table": "crm.{run}"}, r"\{run\} is not known"),
        ({"table": "crm.vip", "key": "_member"}, "Activate's own"),
        ({"table": "crm.vip", "audience_column": "user_id"}, "same column"),
        ({"table": "crm.vip", "batch": 0}, "out of bounds"),
    ],
)
def test_wrong_options_are_told(options: Rows, problem: str) -> None:
    import re

    found = check_options(Table.all_options(), options, resolved=False) + Table.conflicts(options)
    assert re.search(problem, "\n".join(found))


def test_no_value_shows_in_what_is_printed(crm: Crm) -> None:
    request = crm.destination.build(changes("upsert", {"_member": ["ann@example.com"]}), NOW)
    assert "ann@example.com" not in repr(request)


def test_workers_that_begin_together_make_one_table(crm: Crm) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(number: int) -> None:
        carrier = TableCarrier(lambda target: crm.warehouse.clone())
        request = crm.destination.build(changes("upsert", {"_member": [f"m{number}"], "n": [number]}), NOW)
        for _ in range(20):
            try:
                carrier.carry(request)
                break
            except NotTaken:
                continue
        carrier.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    assert crm.members() == [f"m{number}" for number in range(8)]
