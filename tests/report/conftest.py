"""Fixtures of these tests: the small shop of report_shop, on both warehouses."""

from report_shop import _prepared, empty_shop, shop

__all__ = ["_prepared", "empty_shop", "shop"]
