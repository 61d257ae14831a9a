"""drt-core posting rows from DuckDB to a REST endpoint in batches; run by its own Python (benchmarks/audiences.py --drt).

    python3 -m venv /tmp/drt && /tmp/drt/bin/pip install 'drt-core[duckdb]' duckdb pyarrow

Prints the seconds from reading the first row to the last answer.
"""

from __future__ import annotations

import sys
import time

from drt.config.credentials import DuckDBProfile
from drt.config.models import RestApiDestinationConfig, SyncOptions
from drt.destinations.rest_api import RestApiDestination
from drt.sources.duckdb import DuckDBSource

path, url, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
config = RestApiDestinationConfig(
    type="rest_api", url=url, method="POST", headers={"Content-Type": "application/json"}, body_mode="batch",
    batch_template='{"changes": {{ rows | tojson }}}', max_records_per_request=batch,
)  # fmt: skip
options = SyncOptions(batch_size=10_000, rate_limit={"requests_per_second": 1_000_000})
began = time.perf_counter()
rows = DuckDBSource().extract(
    "SELECT user_id, first_name, ltv, orders FROM members", DuckDBProfile(type="duckdb", database=path)
)
destination, sent, chunk = RestApiDestination(), 0, []
for row in rows:
    row["ltv"] = float(row["ltv"])
    chunk.append(row)
    if len(chunk) == 10_000:
        sent += destination.load(chunk, config, options).success
        chunk = []
if chunk:
    sent += destination.load(chunk, config, options).success
print(time.perf_counter() - began, sent)
