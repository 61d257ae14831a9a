"""drt-core taking rows from DuckDB to an HTTP endpoint; run by its own Python (benchmarks/audiences.py, providers.py).

    python3 -m venv /tmp/drt && /tmp/drt/bin/pip install 'drt-core[duckdb]' duckdb pyarrow
    /tmp/drt/bin/python benchmarks/peer_drt.py FILE URL BATCH [rows|messages|sendgrid]

`rows` posts batches of the rows as they are, `messages` batches of messages that its template writes for each person,
`sendgrid` mails by its own SendGrid destination. Prints the seconds from reading the first row to the last answer.
"""

from __future__ import annotations

import sys
import time

from drt.config.credentials import DuckDBProfile
from drt.config.models import RestApiDestinationConfig, SendGridDestinationConfig, SyncOptions
from drt.destinations import sendgrid
from drt.destinations.rest_api import RestApiDestination
from drt.sources.duckdb import DuckDBSource

# The message of benchmarks/deliver.py, for each row of a batch.
MESSAGES = """{"messages": [{% for row in rows %}{"message_id": {{ row.message_id | tojson }}, "user_id":
{{ row.user_id | tojson }}, "address": {{ row.email | tojson }}, "channel": "email", "campaign": "cart", "content": {
"subject": {% set subject %}{{ row.first_name }}, you left {{ row.product }} behind{% endset %}{{ subject | tojson }},
"text": {% set text %}Hello {{ row.first_name }},

your {{ row.product }} ({{ "$%.2f" | format(row.price) }}) still waits for you. You have {{ row.points }} points.{% endset %}
{{ text | tojson }}}}{{ "," if not loop.last }}{% endfor %}]}"""

path, url, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
mode = sys.argv[4] if len(sys.argv) > 4 else "rows"
if mode == "sendgrid":
    sendgrid._SENDGRID_API_URL = f"{url}/v3/mail/send"  # the address is a constant there
    destination = sendgrid.SendGridDestination()
    config = SendGridDestinationConfig(
        type="sendgrid", from_email="hello@shop.example.com", to_email_field="email",
        subject_template="{{ row.first_name }}, something waits for you", auth={"type": "bearer", "token": "key"},
        body_template="Hello,\n\nwhat you left in your cart still waits for you.",
    )  # fmt: skip
else:
    destination = RestApiDestination()
    config = RestApiDestinationConfig(
        type="rest_api", url=url, method="POST", headers={"Content-Type": "application/json"}, body_mode="batch",
        batch_template='{"changes": {{ rows | tojson }}}' if mode == "rows" else MESSAGES, max_records_per_request=batch,
    )  # fmt: skip
options = SyncOptions(batch_size=10_000, rate_limit={"requests_per_second": 1_000_000})
began = time.perf_counter()
columns = "user_id, first_name, ltv, orders" if mode == "rows" else "*"
rows = DuckDBSource().extract(f"SELECT {columns} FROM members", DuckDBProfile(type="duckdb", database=path))
sent, chunk = 0, []
for row in rows:
    if mode == "rows":
        row["ltv"] = float(row["ltv"])
    chunk.append(row)
    if len(chunk) == 10_000:
        sent += destination.load(chunk, config, options).success
        chunk = []
if chunk:
    sent += destination.load(chunk, config, options).success
print(time.perf_counter() - began, sent)
