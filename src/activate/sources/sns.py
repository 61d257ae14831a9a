"""Amazon SNS's signature of what it posts: docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from activate.sources.base import Captured, Fetch, Refused, fresh

_SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SIGNED_TOO = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_KINDS = {"Notification": _SIGNED, "SubscriptionConfirmation": _SIGNED_TOO, "UnsubscribeConfirmation": _SIGNED_TOO}
_HOST = r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE = re.compile(_HOST + r"/SimpleNotificationService-[0-9a-f]{1,64}\.pem")
_CONFIRMATION = re.compile(_HOST + r"/\?Action=ConfirmSubscription&[!-~]{1,2000}")


def check_signature(message: Mapping[str, Any], request: Captured, tolerance: float, fetch: Fetch) -> None:
    """Raise Refused unless SNS signed this message not long before it was received.

    The certificate is fetched from SNS itself, whose address is checked first; raises Unreachable where it cannot be had.
    """
    from cryptography import x509  # noqa: PLC0415  # an extra: only who uses this needs it
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256  # noqa: PLC0415

    versions = {"1": SHA1, "2": SHA256}  # the topic's owner chooses; SNS's default is 1
    kind, version, address = message.get("Type"), message.get("SignatureVersion"), message.get("SigningCertURL")
    if kind not in _KINDS or version not in versions or not message.get("Signature"):
        raise Refused("not_signed")
    if not isinstance(address, str) or not _CERTIFICATE.fullmatch(address):
        raise Refused("bad_certificate_url")
    pem = fetch(address)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise Refused("bad_certificate")
        signature = base64.b64decode(message["Signature"], validate=True)
        text = "".join(f"{name}\n{message[name]}\n" for name in _KINDS[kind] if message.get(name) is not None)
        key.verify(signature, text.encode(), padding.PKCS1v15(), versions[version]())
    except (InvalidSignature, ValueError, TypeError):
        raise Refused("bad_signature") from None
    now = request.received_at.replace(tzinfo=dt.UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Refused("bad_certificate")
    fresh(message.get("Timestamp"), request, tolerance)


def confirmation_of(message: Mapping[str, Any]) -> str | None:
    """The address that confirms a subscription, if it is SNS's."""
    address = message.get("SubscribeURL")
    return address if isinstance(address, str) and _CONFIRMATION.fullmatch(address) else None
