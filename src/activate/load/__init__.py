"""Reads what people wrote: rules, dbt's manifest, the warehouse's columns. Tells every mistake at once."""
