"""What the made-up shop is made of: its products, its stores, its customers' names and where they live."""

from __future__ import annotations

import datetime as dt
import importlib.resources
from zoneinfo import ZoneInfo

import pyarrow as pa

PRODUCTS: dict[str, tuple[tuple[str, float], ...]] = {
    "sofas": (("Birch sofa", 649), ("Two-seater Linnea", 429), ("Day bed Runa", 389), ("Corner sofa Vidar", 1190)),
    "lamps": (("Paper lantern", 24.5), ("Desk lamp Otto", 59), ("Floor lamp Heron", 139), ("Wall lamp Moth", 45)),
    "kitchen": (("Carbon steel pan", 54), ("Bread knife", 32), ("Stoneware bowl", 14.9), ("Kettle Ona", 72)),
    "bedding": (("Linen set", 119), ("Wool blanket", 89), ("Down pillow", 49), ("Flannel sheet", 39)),
    "plants": (("Olive tree", 64), ("Monstera", 34), ("Herb trio", 12.5), ("Terracotta pot", 18)),
    "rugs": (("Jute rug", 129), ("Runner Sava", 79), ("Sheepskin", 95), ("Kelim", 240)),
    "desks": (("Oak desk", 359), ("Trestle pair", 98), ("Standing desk", 520), ("Writing board", 44)),
    "kids": (("Toy chest", 74), ("Bunk bed", 410), ("Wooden blocks", 29), ("Height chart", 16)),
}

STORES: tuple[tuple[str, float, float, str], ...] = (
    ("Berlin Mitte", 52.5200, 13.4050, "Europe/Berlin"),
    ("Hamburg Altona", 53.5500, 9.9350, "Europe/Berlin"),
    ("London Shoreditch", 51.5265, -0.0780, "Europe/London"),
    ("Paris Marais", 48.8590, 2.3620, "Europe/Paris"),
    ("Amsterdam Jordaan", 52.3740, 4.8800, "Europe/Amsterdam"),
    ("Madrid Chueca", 40.4230, -3.6970, "Europe/Madrid"),
    ("New York SoHo", 40.7233, -74.0030, "America/New_York"),
    ("Chicago Loop", 41.8837, -87.6289, "America/Chicago"),
    ("Denver LoDo", 39.7530, -105.0000, "America/Denver"),
    ("Los Angeles Silver Lake", 34.0870, -118.2700, "America/Los_Angeles"),
    ("São Paulo Pinheiros", -23.5670, -46.6930, "America/Sao_Paulo"),
    ("Tokyo Nakameguro", 35.6440, 139.6990, "Asia/Tokyo"),
    ("Kolkata Park Street", 22.5540, 88.3510, "Asia/Kolkata"),
    ("Sydney Newtown", -33.8970, 151.1790, "Australia/Sydney"),
    ("Auckland Ponsonby", -36.8470, 174.7440, "Pacific/Auckland"),
)
STORE_RADIUS_METRES = 300.0

POPULAR_ZONES: tuple[str, ...] = (
    "America/New_York", "America/New_York", "America/New_York", "America/Chicago", "America/Chicago",
    "America/Los_Angeles", "America/Los_Angeles", "America/Denver", "America/Sao_Paulo", "Europe/London",
    "Europe/London", "Europe/Berlin", "Europe/Berlin", "Europe/Berlin", "Europe/Paris", "Europe/Madrid",
    "Europe/Amsterdam", "Asia/Tokyo", "Asia/Kolkata", "Asia/Kolkata", "Australia/Sydney", "Pacific/Auckland",
)  # fmt: skip

BROKEN_ZONES: tuple[str, ...] = (
    "(GMT-08:00) Pacific Time", "UTC+2", "Mars/Olympus_Mons", "europe berlin", "PST8PDT8", "+01:00", "Unknown",
)  # fmt: skip

FIRST_NAMES: tuple[str, ...] = (
    "Ada", "Amara", "Anton", "Bea", "Björn", "Camille", "Chen", "Dalia", "Diego", "Elif", "Emeka", "Fatima", "Felix",
    "Grace", "Hana", "Henrik", "Ines", "Ivan", "Jonas", "Juno", "Kofi", "Lea", "Liam", "Lucía", "Malik", "Maya", "Mei",
    "Noor", "Olga", "Omar", "Pia", "Priya", "Quinn", "Rosa", "Sami", "Siobhán", "Tariq", "Uma", "Vera", "Wim", "Yara",
    "Zoë",
)  # fmt: skip

COUNTRIES: tuple[str, ...] = ("US", "DE", "GB", "FR", "ES", "NL", "BR", "JP", "IN", "AU", "NZ")


def all_zones() -> list[str]:
    """Every IANA zone of the `tzdata` package: the same list on every machine, whatever its own zone files hold."""
    text = importlib.resources.files("tzdata").joinpath("zones").read_text("utf-8")
    return [line for line in text.splitlines() if line]


def zone_offsets(zones: list[str], first: dt.date, last: dt.date) -> pa.Table:
    """Each zone's offset from UTC in seconds at noon of each day: columns zone, day, offset_seconds."""
    days = [first + dt.timedelta(days=count) for count in range((last - first).days + 1)]
    rows: list[tuple[str, dt.date, int]] = []
    for name in zones:
        zone = ZoneInfo(name)
        for day in days:
            offset = dt.datetime(day.year, day.month, day.day, 12, tzinfo=zone).utcoffset() or dt.timedelta()
            rows.append((name, day, int(offset.total_seconds())))
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {
            "zone": pa.array(columns[0], pa.string()),
            "day": pa.array(columns[1], pa.date32()),
            "offset_seconds": pa.array(columns[2], pa.int64()),
        }
    )


def listed(name: str, values: tuple[object, ...] | list[str]) -> pa.Table:
    """Values as a table of `position` (from 0) and a column `name`."""
    return pa.table({"position": pa.array(range(len(values)), pa.int64()), name: pa.array(values)})


def product_table() -> pa.Table:
    """The products: place on the shelf, shelf, product_id, product_name, product_category, price."""
    rows = [
        (place, shelf, f"p-{shelf}{place}", name, category, float(price))
        for shelf, (category, products) in enumerate(PRODUCTS.items())
        for place, (name, price) in enumerate(products)
    ]
    names = ("place", "shelf", "product_id", "product_name", "product_category", "price")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def store_table() -> pa.Table:
    """The stores as raw.stores has them, with `time_zone` besides."""
    return pa.table(
        {
            "store_id": [f"s-{number:02d}" for number in range(len(STORES))],
            "name": [store[0] for store in STORES],
            "latitude": [store[1] for store in STORES],
            "longitude": [store[2] for store in STORES],
            "radius_metres": [STORE_RADIUS_METRES] * len(STORES),
            "time_zone": [store[3] for store in STORES],
        }
    )
