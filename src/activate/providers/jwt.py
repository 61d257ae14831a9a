"""JSON Web Tokens signed with a private key (RFC 7515, RFC 7518): ES256 for Apple and web push, RS256 for Google."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from activate.errors import SettingsError
from activate.providers.extras import require

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey


def b64url(value: bytes) -> str:
    """Base64 for URLs, without padding (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def from_b64url(text: str) -> bytes:
    """What `b64url` wrote; padding and the usual alphabet are taken too. Raises ValueError for anything else."""
    plain = text.strip().rstrip("=").translate(str.maketrans("+/", "-_"))
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None


def es256(claims: Mapping[str, Any], key: EllipticCurvePrivateKey, **header: str) -> str:
    """A token signed with ECDSA on P-256. The same claims make the same token (RFC 6979)."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415  # slow to import, of use to few
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415  # as above

    def sign(text: bytes) -> bytes:
        r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return _token({"typ": "JWT", "alg": "ES256", **header}, claims, sign)


def rs256(claims: Mapping[str, Any], key: RSAPrivateKey, **header: str) -> str:
    """A token signed with RSA PKCS #1 v1.5. The same claims make the same token."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415  # as above
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415  # as above

    return _token({"typ": "JWT", "alg": "RS256", **header}, claims,
                  lambda text: key.sign(text, padding.PKCS1v15(), hashes.SHA256()))  # fmt: skip


def p256_key(secret: str) -> EllipticCurvePrivateKey:
    """A P-256 private key: PEM (Apple's .p8 file), or the 32 bytes in base64 as web push tools print them.

    Raises ValueError when it is none, SettingsError when the package `cryptography` is missing.
    """
    require("push", "cryptography")
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415  # as above

    if "-----BEGIN" not in secret:
        raw = from_b64url(secret)
        if len(raw) != 32:
            raise ValueError("not 32 bytes")
        return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())
    key = _pem(secret)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not a P-256 key")
    return key


def rsa_key(secret: str) -> RSAPrivateKey:
    """An RSA private key in PEM. Raises ValueError when it is none, SettingsError when `cryptography` is missing."""
    require("push", "cryptography")
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415  # as above

    key = _pem(secret)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


def check_key(load: Callable[[str], object], kind: str) -> Callable[[str], str | None]:
    """An option's check: what is wrong with a private key, without quoting it."""

    def check(secret: str) -> str | None:
        try:
            load(secret)
        except SettingsError as error:
            return f"cannot be read: {error}"
        except Exception:  # whatever the parser says may quote the key
            return f"is not {kind}"
        return None

    return check


def _pem(secret: str) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415  # as above

    # A file's line ends are lost in some environments, which hold them as the two characters \n.
    return load_pem_private_key(secret.replace("\\n", "\n").strip().encode(), None)


def _token(header: Mapping[str, str], claims: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> str:
    text = f"{b64url(orjson.dumps(header))}.{b64url(orjson.dumps(claims))}"
    return f"{text}.{b64url(sign(text.encode()))}"
