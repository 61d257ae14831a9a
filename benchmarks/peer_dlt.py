"""dlt posting rows from DuckDB to an HTTP endpoint by a custom destination; run by its own Python (benchmarks/audiences.py --dlt).

    python3 -m venv /tmp/dlt && /tmp/dlt/bin/pip install dlt duckdb pyarrow requests

Prints the seconds of the whole pipeline (extract, normalise, load), then of its load step alone.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time

import dlt
import duckdb
import requests

path, url, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
own = threading.local()
sent: list[int] = []  # appended to by several threads


@dlt.destination(
    batch_size=batch, loader_file_format="typed-jsonl", naming_convention="direct", max_parallel_load_jobs=4
)
def service(items, table) -> None:  # dlt's own types
    """Post one batch."""
    session = getattr(own, "session", None)
    if session is None:
        session = own.session = requests.Session()
    rows = [{name: value for name, value in item.items() if not name.startswith("_dlt")} for item in items]
    for row in rows:
        row["ltv"] = float(row["ltv"])
    session.post(url, json={"table": table["name"], "changes": rows}, timeout=10).raise_for_status()
    sent.append(len(rows))


def members():  # dlt's own types
    """The rows, in Arrow-sized pages."""
    reader = (
        duckdb.connect(path, read_only=True)
        .sql("SELECT user_id, first_name, ltv, orders FROM members")
        .to_arrow_reader(10_000)
    )
    for page in reader:
        yield page.to_pylist()


pipeline = dlt.pipeline("bench", destination=service, pipelines_dir=tempfile.mkdtemp())
began = time.perf_counter()
pipeline.extract(members, table_name="members", loader_file_format="typed-jsonl")
pipeline.normalize()
loading = time.perf_counter()
pipeline.load()
ended = time.perf_counter()
print(ended - began, ended - loading, sum(sent))
