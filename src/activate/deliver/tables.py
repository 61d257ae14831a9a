"""Carries batches into SQL tables: each is one transaction, and which error means what is told apart here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa

from activate.deliver import table_sql
from activate.deliver.carry import InDoubt, NotTaken, Refused
from activate.destinations.base import CHANGE, MEMBER, USER_ID, MembersRequest, Request, TablePlace, TableRequest
from activate.errors import LeaseHeldError, SettingsError, WarehouseError, nearest
from activate.project import Relation
from activate.providers.base import Unusable
from activate.tables import Table
from activate.warehouses.base import Warehouse

_MEMBERS_AT_ONCE = 50_000


class TableCarrier:
    """Connections to the warehouses that destinations name, used by one thread.

    `open_warehouse` is given a target of the dbt profile, or None for the project's own, and returns a connection that is
    the carrier's to close.
    """

    def __init__(self, open_warehouse: Callable[[str | None], Warehouse]) -> None:
        self._open = open_warehouse
        self._warehouses: dict[str | None, Warehouse] = {}
        self._types: dict[tuple[str | None, Relation], Mapping[str, str]] = {}

    def carry(self, request: Request) -> None:
        """Put the rows in, or take them out, in one transaction.

        Raises Refused (because of some rows), NotTaken, InDoubt (lost during the commit) or Unusable. Whatever is
        raised but InDoubt, nothing was taken.
        """
        assert isinstance(request, TableRequest)
        place, changes = request.place, request.changes
        if changes.rows.column(MEMBER).null_count:
            raise Refused("no_member")
        rows = _plain(changes.rows if changes.phase == "upsert" else changes.rows.select([MEMBER, USER_ID]))
        if not rows.num_rows:
            return
        warehouse = self._warehouse(place.target)
        is_committing = False
        try:
            with warehouse.transaction():
                types = self._types_of(warehouse, place, rows.schema)
                if types is not None:
                    self._change(warehouse, place, types, rows)
                is_committing = True
        except WarehouseError as error:
            raise self._meaning(error, place, is_committing) from None
        if types is not None:
            self._types[place.target, place.relation] = types

    def members(self, request: MembersRequest) -> Iterator[Sequence[str]]:
        """Stream the members that the table holds, in batches; none where it is yet to be made.

        The connection carries nothing else meanwhile. Raises NotTaken or Unusable.
        """
        place = request.place
        assert isinstance(place, TablePlace)
        warehouse = self._warehouse(place.target)
        try:
            types = _ask(warehouse, place)
            if types is None and place.create:
                return
            _require(place, types, [])
            for batch in warehouse.stream(table_sql.members(place), _MEMBERS_AT_ONCE):
                yield batch.column(0).to_pylist()
        except WarehouseError as error:
            raise self._meaning(error, place, is_committing=False) from None

    def close(self) -> None:
        """Close the connections."""
        while self._warehouses:
            self._warehouses.popitem()[1].close()
        self._types.clear()

    def _warehouse(self, target: str | None) -> Warehouse:
        if target not in self._warehouses:
            try:
                self._warehouses[target] = self._open(target)
            except SettingsError as error:
                raise Unusable("bad_target", str(error)) from None
            except LeaseHeldError:
                raise NotTaken("warehouse_held") from None
            except WarehouseError as error:
                raise NotTaken("not_connected" if error.code == "warehouse_error" else error.code) from None
        return self._warehouses[target]

    def _types_of(self, warehouse: Warehouse, place: TablePlace, schema: pa.Schema) -> Mapping[str, str] | None:
        """The types of the table's columns; a missing table that may be made is made for rows to put in, else None."""
        fields = {column.name: column.type for column in schema if column.name not in (MEMBER, USER_ID, CHANGE)}
        types = self._types.get((place.target, place.relation)) or _ask(warehouse, place)
        if types is None and place.create:
            if CHANGE not in schema.names:
                return None
            _create(warehouse, place, fields)
            types = _ask(warehouse, place)
        return _require(place, types, list(fields))

    def _change(self, warehouse: Warehouse, place: TablePlace, types: Mapping[str, str], rows: pa.Table) -> None:
        warehouse.load_temporary(table_sql.STAGE, rows)
        warehouse.analyze(table_sql.STAGE)
        if CHANGE in rows.column_names:
            fields = [name for name in rows.column_names if name not in (MEMBER, USER_ID, CHANGE)]
            statements = table_sql.upserts(place, types, fields)
        else:
            statements = table_sql.removal(place, types)
        for statement in (*statements, table_sql.dropping()):
            warehouse.execute(statement)

    def _meaning(self, error: WarehouseError, place: TablePlace, is_committing: bool) -> Exception:
        self._types.pop((place.target, place.relation), None)  # somebody may have altered the table
        if error.cause == "connection":
            self._warehouses.pop(place.target).close()
            return InDoubt("commit_unanswered") if is_committing else NotTaken(error.code)
        if error.about_data:
            return Refused(error.code)
        if error.cause == "conflict":
            return NotTaken(error.code)
        return Unusable(error.code, f"the table {place.relation} cannot be used: {error}")


def _create(warehouse: Warehouse, place: TablePlace, fields: Mapping[str, pa.DataType]) -> None:
    try:
        for statement in table_sql.creation(place, fields, warehouse):
            warehouse.execute(statement)
        if place.indexes:
            warehouse.create_indexes(Table(place.relation.name, "", (), place.indexes), place.relation.schema)
    except WarehouseError as error:
        if not error.about_data:
            raise
        # Another worker made the same table at the same moment, which PostgreSQL's catalogue tells as a doubled key.
        raise WarehouseError(str(error), "conflict", error.code) from None


def _ask(warehouse: Warehouse, place: TablePlace) -> Mapping[str, str] | None:
    return warehouse.columns([place.relation]).get(place.relation)


def _require(place: TablePlace, types: Mapping[str, str] | None, fields: Sequence[str]) -> Mapping[str, str]:
    if types is None:
        raise Unusable("no_table", f"the table {place.relation} does not exist; make it, or set `create: true`")
    own = [place.key, *([place.audience_column] if place.audience_column else [])]
    taken = [name for name in fields if name in own]
    if taken:
        raise Unusable("column_taken", f"the field {taken[0]!r} has the name of the key or the audience's column")
    for name in (*own, *fields):
        if name not in types:
            raise Unusable(
                "no_column",
                f"the table {place.relation} has no column {name!r}; it has: {', '.join(types)}{nearest(name, types)}",
            )
    return types


def _plain(rows: pa.RecordBatch) -> pa.Table:
    """The rows in types that every warehouse's bulk load knows; what is lost is the dress, not the value."""
    columns = {}
    for field, column in zip(rows.schema, rows.columns, strict=True):
        kind = field.type
        if pa.types.is_struct(kind) or pa.types.is_map(kind) or pa.types.is_union(kind):
            raise Unusable(
                "nested_field", f"the field {field.name!r} is a {kind}, which no column holds; send it as text"
            )
        if isinstance(kind, pa.OpaqueType | pa.JsonType):
            column = column.storage  # noqa: PLW2901  # the same column, undressed
        elif pa.types.is_dictionary(kind):
            column = column.dictionary_decode()  # noqa: PLW2901
        elif pa.types.is_uint64(kind):
            column = column.cast(pa.decimal128(20, 0))  # noqa: PLW2901
        columns[field.name] = column
    return pa.table(columns)
