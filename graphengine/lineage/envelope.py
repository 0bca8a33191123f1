"""Signed statements: DSSE envelopes (https://github.com/secure-systems-lab/dsse) with a key that the user has.

Keys are Ed25519 or ECDSA, in PEM files or as OpenSSH writes them. `cryptography` does the signing; it comes with
the extra `sign`.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from graphengine.errors import GraphEngineError
from graphengine.workflow.json_input import parse_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

    PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey
    PublicKey = Ed25519PublicKey | EllipticCurvePublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_LARGEST_KEY = 64 * 1024
_LARGEST_ENVELOPE = 32 * 2**20

# Any throughout: JSON in the shape of the specification.
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verified:
    """A statement whose signature holds, and the id of the key (hex)."""

    statement: Json
    key_id: str


def signed(statement: Json, key: Path, password: bytes | None = None) -> Json:
    """The envelope of a statement, signed with the private key in a file.

    Raises:
        GraphEngineError: `cryptography` is not installed, or the file holds no key that can sign.
    """
    private = _private_key(key, password)
    payload = json.dumps(statement, ensure_ascii=False, sort_keys=True).encode("utf-8", "backslashreplace")
    signature = _sign(private, pre_authentication(PAYLOAD_TYPE, payload))
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode("ascii"),
        "signatures": [
            {"keyid": key_id(private.public_key()), "sig": base64.b64encode(signature).decode("ascii")}
        ],
    }


def verified(envelope: bytes, key: Path) -> Verified:
    """The statement in an envelope, after a signature of it was checked with the public key in a file.

    Raises:
        GraphEngineError: it is no envelope, or no signature is of that key and of these bytes.
    """
    raw = _read_envelope(envelope)
    public = _public_key(key)
    payload = _decoded(raw["payload"], "payload")
    message = pre_authentication(raw["payloadType"], payload)
    if not any(_holds(public, message, _decoded(each.get("sig"), "sig")) for each in raw["signatures"]):
        raise GraphEngineError(
            "no signature of the envelope is of this key and these bytes",
            hint="give the public key of who signed it; if it is that, the envelope was changed",
        )
    if raw["payloadType"] != PAYLOAD_TYPE:
        raise GraphEngineError(f"the envelope holds {raw['payloadType']!r}, no in-toto statement")
    statement = parse_json(payload).value
    if not isinstance(statement, dict):
        raise GraphEngineError("the envelope holds no statement")
    return Verified(statement, key_id(public))


def subjects(statement: Mapping[str, Any]) -> dict[str, str]:
    """The names of what a statement is about, with their SHA-256 (hex)."""
    found: dict[str, str] = {}
    for each in statement.get("subject") or ():
        match each:
            case {"name": str(name), "digest": {"sha256": str(digest)}}:
                found[name] = digest
    return found


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding, version 1."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(key: "PublicKey") -> str:
    """The SHA-256 (hex) of a public key as SubjectPublicKeyInfo in DER."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _read_envelope(data: bytes) -> Json:
    raw = parse_json(data).value
    match raw:
        case {"payloadType": str(), "payload": str(), "signatures": [*signatures]} if all(
            isinstance(each, dict) for each in signatures
        ):
            return cast("Json", raw)
        case _:
            raise GraphEngineError("this is no DSSE envelope", hint="give what lineage --sign wrote")


def _decoded(text: object, name: str) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise GraphEngineError(f"the {name} of the envelope is no base64: {error}") from error


def _sign(key: "PrivateKey", message: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey

    if isinstance(key, EllipticCurvePrivateKey):
        return key.sign(message, ECDSA(_hash_for(key.curve.key_size)))
    return key.sign(message)


def _holds(key: "PublicKey", message: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey

    try:
        if isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, message, ECDSA(_hash_for(key.curve.key_size)))
        else:
            key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _hash_for(bits: int) -> "HashAlgorithm":
    """The hash that goes with a curve: as long as it, at least 256 bits."""
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

    return SHA256() if bits <= 256 else SHA384() if bits <= 384 else SHA512()


def _private_key(file: Path, password: bytes | None) -> "PrivateKey":
    data = _key_bytes(file)
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
    try:
        key = load(data, password)
    except TypeError as error:
        raise KeyLocked(f"{file}: {error}", hint="give its password") from error
    except Exception as error:
        raise _no_key(file, "private", error) from error
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise _no_key(file, "private")
    return key


def _public_key(file: Path) -> "PublicKey":
    data = _key_bytes(file)
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key

    load = load_pem_public_key if data.lstrip().startswith(b"-----") else load_ssh_public_key
    try:
        key = load(data)
    except Exception as error:
        raise _no_key(file, "public", error) from error
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise _no_key(file, "public")
    return key


class KeyLocked(GraphEngineError):
    """The private key is protected by a password, which was not given."""


def _key_bytes(file: Path) -> bytes:
    """A key's file, after it is sure that keys can be used.

    Raises:
        GraphEngineError: `cryptography` is not installed, or the file cannot be read.
    """
    try:
        import cryptography  # noqa: F401  # an optional package
    except ImportError as error:
        raise GraphEngineError(
            "signing needs the package cryptography", hint="pip install 'graphengine-comfy[sign]'"
        ) from error
    try:
        with file.open("rb") as stream:
            return stream.read(_LARGEST_KEY)
    except OSError as error:
        raise GraphEngineError(f"{file}: cannot be read: {error.strerror}", hint="name a key file") from error


def _no_key(file: Path, kind: str, error: Exception | None = None) -> GraphEngineError:
    why = f": {error}" if error is not None else ""
    return GraphEngineError(
        f"{file} holds no {kind} key of Ed25519 or ECDSA{why}"[:300],
        hint="make one: openssl genpkey -algorithm ed25519 -out key.pem, "
        "and openssl pkey -in key.pem -pubout -out key.pub",
    )
