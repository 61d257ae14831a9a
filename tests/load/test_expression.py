"""A `where:` is one boolean expression about one row; everything else is refused by name, on both warehouses."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp

from activate.errors import WarehouseError
from activate.expression import FUNCTIONS, MAX_LENGTH, columns_of, parse_where
from activate.settings import Target
from activate.warehouses.base import Warehouse
from activate.warehouses.postgres import Postgres
from activate.warehouses.registry import connect

COLUMNS = {
    "cart_value": "decimal(10,2)",
    "name": "varchar",
    "is_vip": "boolean",
    "occurred_at": "timestamp",
    "properties": "json",
    "n": "integer",
    "Mixed Case": "varchar",
    'odd "name"': "varchar",
    "select": "varchar",
}
DIALECTS = ("duckdb", "postgres")
both = pytest.mark.parametrize("dialect", DIALECTS)

# A row of these columns, and what each expression says of it.
ROW = """\
SELECT CAST(120.5 AS DECIMAL(10, 2)) AS cart_value, 'Ann O''Neil' AS name, TRUE AS is_vip,
CAST('2026-03-01 10:30:00' AS TIMESTAMP) AS occurred_at,
CAST('{"cart_id": "c1", "deep": {"x": 5}}' AS JSON) AS properties,
7 AS n, 'a' AS "Mixed Case", 'b' AS "odd \"\"name\"\"", 'c' AS "select" """
TRUE_OF_THE_ROW = [
    "cart_value > 100",
    "CART_VALUE > 100",
    "cart_value between 100 and 200 and n % 2 = 1",
    "not (n < 7 or n > 7)",
    "is_vip",
    "is_vip is true and is_vip is not null",
    "name = 'Ann O''Neil'",
    "name like 'Ann%' and name not like '%x' and name ilike 'ANN%'",
    "name like 'Ann O!_%' escape '!' or n = 7",
    "name in ('x', 'Ann O''Neil')",
    "n not in (1, 2)",
    "n is distinct from null",
    "lower(name) = 'ann o''neil' and upper(name) <> name and length(name) = 10",
    "trim('  x ') = 'x' and replace(name, 'Ann', 'Bo') = 'Bo O''Neil'",
    "left(name, 3) = 'Ann' and right(name, 4) = 'Neil' and substring(name, 5, 1) = 'O'",
    "split_part(name, ' ', 1) = 'Ann' and strpos(name, 'O') = 5 and starts_with(name, 'Ann')",
    "name || '!' = 'Ann O''Neil!' and concat(name, '!') = name || '!'",
    "abs(-n) = 7 and round(cart_value, 0) >= 120 and ceil(cart_value) = 121 and floor(cart_value) = 120",
    "coalesce(n, 0) = 7 and nullif(n, 7) is null and greatest(n, 9) = 9 and least(n, 9) = 7",
    "case when n > 5 then is_vip else false end",
    "case n when 7 then 'x' else 'y' end = 'x'",
    "cast(n as text) = '7' and cast('8' as integer) = n + 1",
    "occurred_at >= date '2026-03-01' and occurred_at < timestamp '2026-03-02 00:00:00'",
    "occurred_at - interval '1 day' < timestamp '2026-03-01 00:00:00'",
    "date_trunc('day', occurred_at) = timestamp '2026-03-01 00:00:00' and extract(hour from occurred_at) = 10",
    "properties ->> 'cart_id' = 'c1'",
    "cast(properties -> 'deep' ->> 'x' as integer) = 5",
    "(n + 1) * 2 - 4 / 2 = 14",
    "\"Mixed Case\" = 'a' and \"mixed case\" = 'a'",
    '"odd ""name""" = \'b\' and "select" = \'c\'',
    "name = 'it is -- no comment; /* nor this */' or n = 7",
]


@pytest.fixture(params=DIALECTS)
def warehouse(request: pytest.FixtureRequest) -> Warehouse:
    if request.param == "duckdb":
        return connect(Target("duckdb", "test", {}))
    return Postgres.open(request.getfixturevalue("postgres_server"))


def test_what_is_allowed_says_the_same_on_both_warehouses(warehouse: Warehouse) -> None:
    row = sqlglot.parse_one(ROW, dialect=warehouse.dialect)
    for text in TRUE_OF_THE_ROW:
        where = parse_where(text, columns=COLUMNS, dialect=warehouse.dialect)
        query = exp.select("COUNT(*)").from_(row.copy().subquery("t")).where(where)
        try:
            assert warehouse.scalar(query) == 1, text
        except WarehouseError as error:
            pytest.fail(f"{text}: {error}: {warehouse.sql(where)}")
    warehouse.close()


SUB_STATEMENTS = [
    "exists (select 1)",
    "n in (select n from profiles)",
    "n = (select max(n) from profiles)",
    "is_vip or (select true)",
    "n = any (select 1)",
    "n > all (select 1)",
    "n = (values (1))",
    "n = (with x as (select 1) select * from x)",
    "case when (select true) then is_vip end",
]


@both
@pytest.mark.parametrize("text", SUB_STATEMENTS)
def test_sub_statements_are_refused(text: str, dialect: str) -> None:
    with pytest.raises(ValueError, match=r"sub-statement|cannot be read"):
        parse_where(text, columns=COLUMNS, dialect=dialect)


@both
@pytest.mark.parametrize(
    "text",
    [
        "is_vip; drop table profiles",
        "is_vip;",
        "is_vip union select true",
        "is_vip) or (1 = 1",
        "is_vip limit 1",
        "is_vip order by 1",
        "is_vip group by 1",
        "is_vip from profiles",
        "is_vip as x",
        "is_vip, n = 7",
        "select true",
        "drop table profiles",
        "delete from profiles",
        "is_vip returning *",
        "n = 'x",
        'n = "x',
        "n >",
        "(((n = 7)",
    ],
)
def test_what_is_more_or_less_than_one_expression_is_refused(text: str, dialect: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be read as one SQL expression|';' is not allowed"):
        parse_where(text, columns=COLUMNS, dialect=dialect)


@both
@pytest.mark.parametrize(
    "text",
    [
        "is_vip -- and n > 7",
        "is_vip --",
        "-- is_vip",
        "/* is_vip",
        "is_vip /* ) or true or ( */",
        "/**/ is_vip",
        "is_vip and /* x */ n = 7",
        "n /*!50000 = 7 or 1 */ = 7",
        "n = 7 -- \n or true",
    ],
)
def test_comment_tricks_are_refused(text: str, dialect: str) -> None:
    with pytest.raises(ValueError, match=r"comment|cannot be read"):
        parse_where(text, columns=COLUMNS, dialect=dialect)


@both
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n = ?", "parameter"),
        ("n = :x", "parameter"),
        ("n = $1", "parameter"),
        ("count(*) > 1", "aggregate"),
        ("sum(n) > 1", "aggregate"),
        ("max(n) > 1", "aggregate"),
        ("row_number() over () = 1", "window function"),
        ("sum(n) over (partition by name) > 1", "window function"),
        ("lag(n) over (order by n) > 1", "window function"),
        ("now() > occurred_at", "reads the clock"),
        ("current_timestamp > occurred_at", "reads the clock"),
        ("current_date > occurred_at", "reads the clock"),
        ("localtimestamp > occurred_at", "reads the clock"),
        ("today() > occurred_at", "reads the clock"),
        ("clock_timestamp() > occurred_at", "reads the clock"),
        ("occurred_at > 'now'", "reads the clock"),
        ("occurred_at > ' NOW '", "reads the clock"),
        ("cast('today' as timestamp) < occurred_at", "reads the clock"),
        ("occurred_at between 'yesterday' and 'tomorrow'", "reads the clock"),
        ("case when occurred_at < 'now' then true else false end", "reads the clock"),
        ("random() < 0.5", r"function rand\(\) is not allowed"),
        ("uuid() = name", r"uuid\(\) is not allowed"),
        ("setseed(1) is null", r"setseed\(\) is not allowed"),
        ("read_csv('/etc/passwd') = name", r"read_csv\(\) is not allowed"),
        ("read_text('/etc/passwd') = name", r"read_text\(\) is not allowed"),
        ("pg_read_file('/etc/passwd') = name", r"pg_read_file\(\) is not allowed"),
        ("pg_sleep(10) is null", r"pg_sleep\(\) is not allowed"),
        ("getenv('HOME') = name", r"getenv\(\) is not allowed"),
        ("current_setting('x') = name", r"current_setting\(\) is not allowed"),
        ("set_config('x', 'y', false) = name", r"set_config\(\) is not allowed"),
        ("nextval('s') = n", r"nextval\(\) is not allowed"),
        ("query_to_xml('drop table x', true, true, '') is null", r"query_to_xml\(\) is not allowed"),
        ("dblink('x', 'y') is null", r"dblink\(\) is not allowed"),
        ("lo_import('/etc/passwd') = n", r"lo_import\(\) is not allowed"),
        ("session_user = name", r"session_user\(\) is not allowed"),
        ("current_user = name", r"current_user\(\) is not allowed"),
        ("substrin(name, 1) = 'x'", r"did you mean 'substring'\?"),
        ("cast(name as regclass) is null", "cast to regclass"),
        ("cast(name as my_type) is null", "cast to my_type"),
        ("cast(n as integer[]) is null", "cast to"),
        ("name = $$x$$", "plain single quotes"),
        ("name = E'\\x41'", "plain single quotes"),
        ("t.n = 7", "write the column as `n`, without a table"),
        ("public.t.n = 7", "without a table"),
        ("t.* is null", "without a table"),
        ("* is null", "not allowed|cannot be read"),
        ("n in name", "IN needs a list"),
        ("array[1, 2] = n", r"array\(\) is not allowed"),
        ("n[1] = 7", "not allowed"),
        ("name collate \"C\" = 'x'", "not allowed"),
        ("n & 1 = 1", "not allowed"),
        ("{{ n }} = 7", "not allowed|cannot be read"),
        ("occurred_at at time zone 'UTC' > occurred_at", "not allowed"),
        ("n = 7 \x00", "control character"),
        ("", "is empty"),
        (" \n ", "is empty"),
        ("n = " + "1" * MAX_LENGTH, "at most 4000"),
        ("(" * 1900 + "is_vip" + ")" * 1900, "nested too deeply"),
    ],
)
def test_whatever_else_there_is_to_try_is_refused_by_name(text: str, message: str, dialect: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){message}"):
        parse_where(text, columns=COLUMNS, dialect=dialect)


@both
@pytest.mark.parametrize(
    "text",
    ["n", "cart_value + 1", "'true'", "1", "n and is_vip", "not name", "case when is_vip then n end",
     "coalesce(is_vip, n)", "cast(n as text)", "is_vip or 'x'", "(n)", "-n", "name || 'x'"],
)  # fmt: skip
def test_an_expression_that_is_not_true_or_false_is_refused(text: str, dialect: str) -> None:
    with pytest.raises(ValueError, match="is not true or false"):
        parse_where(text, columns=COLUMNS, dialect=dialect)


def test_a_word_like_today_is_text_where_no_time_is_asked_about() -> None:
    assert parse_where("name = 'today'", columns=COLUMNS, dialect="postgres").sql("postgres") == "(\"name\" = 'today')"


@both
def test_columns_come_out_quoted_as_the_warehouse_spells_them(dialect: str) -> None:
    tree = parse_where('CART_value > 100 and "Mixed Case" = "select"', columns=COLUMNS, dialect=dialect)
    assert tree.sql(dialect) == '("cart_value" > 100 AND "Mixed Case" = "select")'
    assert list(columns_of(tree)) == ["cart_value", "Mixed Case", "select"]


def test_a_column_that_is_not_there_comes_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"no column 'cart_valu'; the model's columns: cart_value, .*did you mean 'cart_value'\?"
    ):
        parse_where("cart_valu > 100", columns=COLUMNS, dialect="duckdb")


def test_columns_that_differ_by_case_alone_have_to_be_written_as_they_are() -> None:
    columns = {"a": "integer", "A": "integer"}
    assert parse_where('"A" > 1', columns=columns, dialect="postgres").sql("postgres") == '("A" > 1)'
    with pytest.raises(ValueError, match="'aB' could be any of ab, AB"):
        parse_where("aB > 1", columns={"ab": "integer", "AB": "integer"}, dialect="postgres")


def test_without_columns_only_the_form_is_checked() -> None:
    tree = parse_where("whatever > 1 and whoever", columns=None, dialect="duckdb")
    assert list(columns_of(tree)) == ["whatever", "whoever"]
    with pytest.raises(ValueError, match="sub-statement"):
        parse_where("whatever in (select 1)", columns=None, dialect="duckdb")


def test_the_result_can_be_put_beside_other_conditions() -> None:
    tree = parse_where("is_vip or n = 7", columns=COLUMNS, dialect="duckdb")
    assert exp.and_(exp.false(), tree).sql("duckdb") == 'FALSE AND ("is_vip" OR "n" = 7)'


@pytest.mark.parametrize("dialect", ["snowflake", "bigquery", "databricks", "redshift", "spark", "trino"])
def test_an_expression_is_printed_for_every_other_warehouse(dialect: str) -> None:
    for text in TRUE_OF_THE_ROW:
        if "->" not in text:  # JSON operators are a dialect's own
            assert parse_where(text, columns=COLUMNS, dialect="postgres").sql(dialect)


def test_every_function_on_the_list_is_one_that_can_be_written() -> None:
    written = " ".join(TRUE_OF_THE_ROW)
    elsewhere = {"contains", "ends_with", "json_extract_path_text"}  # not on both warehouses
    assert [name for name in FUNCTIONS if f"{name}(" not in written] == sorted(elsewhere)
    for text in ("contains(name, 'x')", "ends_with(name, 'x')", "json_extract_path_text(properties, 'x') = 'y'"):
        assert parse_where(text, columns=COLUMNS, dialect="duckdb")
