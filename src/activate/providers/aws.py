"""Signs requests to Amazon Web Services (Signature Version 4) with botocore's signer, at the instant it is told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from activate.providers.base import HttpRequest, Unusable
from activate.providers.options import Option

AWS_OPTIONS = (
    Option("region", "The region, e.g. `eu-central-1`.", required=True),
    Option("access_key_id", "The access key's id.", required=True),
    Option("secret_access_key", "The access key.", required=True, secret=True),
    Option("session_token", "The session's token, with temporary credentials.", secret=True),
)


def sign_aws(request: HttpRequest, options: Mapping[str, Any], service: str, at: int) -> HttpRequest:
    """The request with its signature; `options` are those of `AWS_OPTIONS`, `at` is in Unix seconds.

    Raises Unusable when botocore is not installed (the extra `aws`).
    """
    try:
        from botocore.auth import SigV4Auth  # noqa: PLC0415  # an extra, and slow to import
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.credentials import Credentials  # noqa: PLC0415
    except ImportError:
        raise Unusable("no_botocore", "requests to AWS are signed with botocore; install dbt-activate[aws]") from None
    token = options["session_token"]
    keys = Credentials(options["access_key_id"], options["secret_access_key"], token)
    signer = SigV4Auth(keys, service, options["region"])
    stamp = dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {**request.headers, "X-Amz-Date": stamp, **({"X-Amz-Security-Token": token} if token else {})}
    # `add_auth` would take the machine's clock, so the steps that it is made of are called with ours.
    asked = AWSRequest(request.method, request.url, headers, request.body)
    asked.context["timestamp"] = stamp
    signature = signer.signature(signer.string_to_sign(asked, signer.canonical_request(asked)), asked)
    signed = signer.signed_headers(signer.headers_to_sign(asked))
    value = f"AWS4-HMAC-SHA256 Credential={signer.scope(asked)}, SignedHeaders={signed}, Signature={signature}"
    return replace(request, headers={**headers, "Authorization": value})
