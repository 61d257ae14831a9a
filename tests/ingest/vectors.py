"""Requests as providers publish them, with their own signatures; and requests signed here by other means than the sources'."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from activate.sources.base import Captured, Source
from activate.sources.registry import create

NOON = dt.datetime(2026, 3, 2, 12)
AT = int(dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC).timestamp())
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = hashlib.md5(b"0", usedforsecurity=False).hexdigest()
ADDRESS = "Secret.Person@private.example.com"
NUMBER = "+15550100123"
KEY = ec.derive_private_key(20260302, ec.SECP256R1())
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()

SECTIONS: dict[str, dict[str, Any]] = {
    "generic": {"secret": SECRET, "channel": "push"},
    "sendgrid": {"public_key": PUBLIC},
    "twilio": {"auth_token": "12345", "url": "https://events.example.com/events/twilio"},
    "onesignal": {"token": "one-signal-token"},
    "braze": {"token": "braze-token"},
    "postmark": {"username": "activate", "password": "pass:word"},
    "mailgun": {"signing_key": "key-mailgun"},
    "ses": {"topic": "arn:aws:sns:eu-central-1:123456789012:mail", "token": "ses-token"},
}


CERTIFICATE_AT = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
SNS_KEY = rsa.generate_private_key(65_537, 2_048)


def certificate(key: Any = SNS_KEY, begins: dt.datetime = NOON - dt.timedelta(days=30)) -> bytes:
    """A certificate of a key that holds for 60 days, signed by itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(begins).not_valid_after(begins + dt.timedelta(days=60))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


CERTIFICATES = {CERTIFICATE_AT: certificate()}


def sns(message: dict[str, Any], version: str = "1", key: Any = SNS_KEY) -> dict[str, Any]:
    """A message as SNS signs it, by the words of its documentation."""
    order = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if message["Type"] != "Notification":
        order = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{message[name]}\n" for name in order if name in message)
    made = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA1() if version == "1" else hashes.SHA256())
    signature = base64.b64encode(made).decode()
    return {**message, "SignatureVersion": version, "Signature": signature, "SigningCertURL": CERTIFICATE_AT}


def source(kind: str, **options: Any) -> Source:
    """A source with the options above, to which SNS's certificate above is all there is to fetch."""
    return create(kind, {**SECTIONS[kind], **options}, CERTIFICATES.__getitem__)


def signed(kind: str, document: Any, at: dt.datetime = NOON) -> Captured:
    """A request of this kind, signed as its provider would."""
    stamp = str(AT + int((at - NOON).total_seconds()))
    if kind == "twilio":
        document = {name: str(value) for name, value in document.items()}
        text = SECTIONS[kind]["url"] + "".join(name + document[name] for name in sorted(document))
        made = base64.b64encode(hmac.new(b"12345", text.encode(), hashlib.sha1).digest()).decode()
        return Captured(at, {"x-twilio-signature": made}, urlencode(document).encode())
    if kind == "mailgun":
        made = hmac.new(b"key-mailgun", (stamp + "token").encode(), hashlib.sha256).hexdigest()
        whole = {"signature": {"timestamp": stamp, "token": "token", "signature": made}, "event-data": document}
        return Captured(at, {}, json.dumps(whole).encode())
    body = json.dumps(document).encode()
    if kind == "ses":
        whole = sns({
            "Type": "Notification",
            "MessageId": "n1",
            "TopicArn": SECTIONS[kind]["topic"],
            "Message": body.decode(),
            "Timestamp": at.isoformat(timespec="milliseconds") + "Z",
        })  # fmt: skip
        return Captured(at, {}, json.dumps(whole).encode(), "/events/ses?token=ses-token")
    headers = {}
    if kind == "generic":
        key = base64.b64decode(SECRET[6:])
        made = base64.b64encode(hmac.new(key, f"msg_1.{stamp}.".encode() + body, hashlib.sha256).digest()).decode()
        headers = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": f"v1,AAAA v1,{made}"}
    elif kind == "sendgrid":
        made = base64.b64encode(KEY.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
        headers = {
            "x-twilio-email-event-webhook-signature": made,
            "x-twilio-email-event-webhook-timestamp": stamp,
        }
    elif kind == "postmark":
        headers = {"authorization": "Basic " + base64.b64encode(b"activate:pass:word").decode()}
    else:
        headers = {"authorization": f"Bearer {SECTIONS[kind]['token']}"}
    return Captured(at, headers, body)


def line(request: Captured) -> str:
    """The request as a line of a file."""
    told = {
        "received_at": request.received_at.isoformat(),
        "headers": dict(request.headers),
        "body": request.body.decode(),
    }
    return json.dumps(told | ({"url": request.url} if request.url else {})) + "\n"


# One event of each kind of provider, as documented; each says that the address is not to be used again.
LOSSES: dict[str, Any] = {
    "generic": [
        {"id": "g1", "name": "failed", "occurred_at": AT - 60, "channel": "push", "address": "token-0",
         "lost": "unregistered", "message_id": MESSAGE},
    ],
    "sendgrid": [
        {"email": ADDRESS, "timestamp": AT - 60, "event": "bounce", "type": "bounce", "status": "5.1.1",
         "reason": f"550 no such user {ADDRESS}", "sg_event_id": "s1", "message_id": MESSAGE,
         "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0"},
    ],
    "twilio": {"MessageSid": "SM1", "From": NUMBER, "To": "+15550199", "Body": " Stop. ", "SmsStatus": "received"},
    "onesignal": {
        "event": {"kind": "message.push.unsubscribed", "id": "o1", "timestamp": AT - 60},
        "message": {"id": "n-1"}, "user": {"external_id": "u0"},
    },
    "braze": {
        "events": [
            {"event_type": "users.messages.email.Bounce", "id": "b1", "external_user_id": "u0", "time": AT - 60,
             "email_address": ADDRESS, "bounce_reason": f"no such user {ADDRESS}"},
        ]
    },
    "postmark": {
        "RecordType": "SpamComplaint", "ID": 42, "Type": "SpamComplaint", "TypeCode": 512,
        "MessageID": "00000000-0000-0000-0000-000000000001", "Metadata": {"message_id": MESSAGE}, "Email": ADDRESS,
        "BouncedAt": "2026-03-02T11:59:00.9070259Z", "Subject": "Test subject", "Content": "<Abuse report dump>",
    },
    "mailgun": {
        "event": "failed", "severity": "permanent", "reason": "bounce", "id": "m1", "timestamp": AT - 60.5,
        "recipient": ADDRESS, "user-variables": {"message_id": MESSAGE},
        "delivery-status": {"code": 605, "message": f"Not delivering to {ADDRESS}"},
        "message": {"headers": {"message-id": "20130503182626.18666.16540@sandbox.mailgun.org", "to": ADDRESS}},
    },
    "ses": {
        "eventType": "Bounce",
        "bounce": {
            "bounceType": "Permanent", "bounceSubType": "General", "timestamp": "2026-03-02T11:59:00.669Z",
            "bouncedRecipients": [{"emailAddress": ADDRESS, "action": "failed", "status": "5.1.1",
                                   "diagnosticCode": "smtp; 550 5.1.1 user unknown"}],
            "feedbackId": "01000157c44f053b-61b59c11-9236-11e6-8f96-7be8aexample-000000",
        },
        "mail": {"timestamp": "2026-03-02T11:58:00.012Z", "messageId": "EXAMPLE7c191be45", "destination": [ADDRESS],
                 "tags": {"message_id": [MESSAGE]}},
    },
}  # fmt: skip
