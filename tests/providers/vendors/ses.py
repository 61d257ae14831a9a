"""Amazon SES's side of SESv2 SendEmail (botocore's model sesv2/2019-09-27); a server is talked to in tests/vendors."""

from __future__ import annotations

import json
from typing import Any

from activate.providers.base import HttpAnswer, HttpRequest, Lost, Outgoing, Request, Status
from tests.providers.vendors import SECRET


class Peer:
    section: dict[str, Any] = {
        "region": "eu-central-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET,
        "from": "Läden <a@shop.example.com>", "configuration_set": "activate",
        "unsubscribe_url": "https://shop.example.com/{token}", "unsubscribe_secret": SECRET,
    }  # fmt: skip
    channel = "email"
    content = {"subject": "Grüße\n", "text": 'Hello "you"\n', "html": "<b>héllo</b>"}

    def address(self, n: int) -> str:
        return f"person{n}@private.example.com"

    def taken(self, request: Request, batch: list[Outgoing]) -> HttpAnswer:
        assert isinstance(request, HttpRequest)
        assert request.method == "POST"
        assert request.url == "https://email.eu-central-1.amazonaws.com/v2/email/outbound-emails"
        scope = "Credential=AKIDEXAMPLE/20260302/eu-central-1/ses/aws4_request"
        assert request.headers["Authorization"].startswith(f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=")
        assert request.headers["X-Amz-Date"] == "20260302T120000Z"
        body = json.loads(request.body)
        assert body["FromEmailAddress"] == "=?utf-8?b?TMOkZGVu?= <a@shop.example.com>"
        assert body["Destination"] == {"ToAddresses": [batch[0].address]}
        assert body["ConfigurationSetName"] == "activate"
        assert {"Name": "message_id", "Value": batch[0].message_id} in body["EmailTags"]
        simple = body["Content"]["Simple"]
        assert simple["Subject"] == {"Data": "Grüße", "Charset": "UTF-8"}
        assert {kind: part["Data"] for kind, part in simple["Body"].items()} == {
            "Text": self.content["text"], "Html": self.content["html"],
        }  # fmt: skip
        headers = {header["Name"]: header["Value"] for header in simple["Headers"]}
        assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert all(len(name) + len(value) <= 996 for name, value in headers.items())
        return HttpAnswer(200, {}, b'{"MessageId": "010001876ae83b4e-24c9-4bd8"}')

    def refused(self, request: Request, batch: list[Outgoing]) -> tuple[HttpAnswer, Status, Lost | None]:
        text = f"Email address is not verified. The following identities failed the check: {batch[-1].address}"
        return (
            HttpAnswer(400, {"x-amzn-errortype": "MessageRejected"}, json.dumps({"message": text}).encode()),
            "rejected",
            None,
        )
