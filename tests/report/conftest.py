"""Fixtures of these tests: the small shop of report_shop, on both warehouses."""

from report_shop import empty_shop, shop

__all__ = ["empty_shop", "shop"]
