"""Prints the shop's plan once, in the process that the killed ones are forked from."""

from activate.bookmarks import Bookmark, Bookmarks, StoredVersion
from activate.compile.pipeline import compile_tick
from activate.warehouses.dialect import DIALECTS
from tests.compile.everything import CART, RECEIPT
from tests.decide import shop

_MARK = Bookmark(shop.at("10:00"), shop.at("10:10"), shop.at("10:10"), shop.at("10:10"))
_OPEN = tuple(StoredVersion(campaign.version, campaign) for campaign in (CART, RECEIPT))
_MARKS = Bookmarks(dict.fromkeys(("cart", "journey", "receipt"), _MARK), _OPEN, (), shop.at("10:10"), shop.at("10:05"))

for _dialect in ("duckdb", "postgres"):
    compile_tick(shop.rules(), DIALECTS[_dialect], shop.at("10:40"), _MARKS, "run")
