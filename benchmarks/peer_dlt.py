"""dlt taking rows from DuckDB to an HTTP endpoint by a custom destination; run by its own Python (benchmarks/audiences.py).

    python3 -m venv /tmp/dlt && /tmp/dlt/bin/pip install dlt duckdb pyarrow requests jinja2
    /tmp/dlt/bin/python benchmarks/peer_dlt.py FILE URL BATCH [rows|messages|sendgrid]

`rows` posts batches of the rows as they are, `messages` batches of messages that two compiled Jinja2 templates write for
each person, `sendgrid` batches of SendGrid's personalizations with one text (dlt has no destination for SendGrid).
Prints the seconds of the whole pipeline (extract, normalise, load), then of its load step alone.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time

import dlt
import duckdb
import jinja2
import requests

# The message of benchmarks/deliver.py.
SUBJECT = jinja2.Template("{{ first_name }}, you left {{ product }} behind", undefined=jinja2.StrictUndefined)
TEXT = jinja2.Template(
    "Hello {{ first_name }},\n\nyour {{ product }} ({{ '$%.2f' | format(price) }}) still waits for you. "
    "You have {{ points }} points.",
    undefined=jinja2.StrictUndefined,
)

path, url, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
mode = sys.argv[4] if len(sys.argv) > 4 else "rows"
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
    session.post(f"{url}/v3/mail/send" if mode == "sendgrid" else url, json=body(table["name"], rows), timeout=10
                 ).raise_for_status()  # fmt: skip
    sent.append(len(rows))


def body(table: str, rows: list[dict]) -> dict:
    """What is posted for some rows."""
    if mode == "messages":
        return {"messages": [
            {"message_id": row["message_id"], "user_id": row["user_id"], "address": row["email"], "channel": "email",
             "campaign": "cart", "content": {"subject": SUBJECT.render(row), "text": TEXT.render(row)}}
            for row in rows
        ]}  # fmt: skip
    if mode == "sendgrid":
        return {
            "personalizations": [
                {"to": [{"email": row["email"]}], "subject": f"{row['first_name']}, something waits for you"}
                for row in rows
            ],
            "from": {"email": "hello@shop.example.com"}, "subject": "Something waits for you",
            "content": [{"type": "text/plain", "value": "Hello,\n\nwhat you left in your cart still waits for you."}],
        }  # fmt: skip
    for row in rows:
        row["ltv"] = float(row["ltv"])
    return {"table": table, "changes": rows}


def members():  # dlt's own types
    """The rows, in Arrow-sized pages."""
    columns = "user_id, first_name, ltv, orders" if mode == "rows" else "*"
    reader = duckdb.connect(path, read_only=True).sql(f"SELECT {columns} FROM members").to_arrow_reader(10_000)
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
