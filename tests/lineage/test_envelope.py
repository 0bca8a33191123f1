"""Signing and verifying statements."""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from graphengine.errors import GraphEngineError
from graphengine.lineage.envelope import KeyLocked, pre_authentication, signed, subjects, verified

pytest.importorskip("cryptography")
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

STATEMENT = {"_type": "x", "subject": [{"name": "a.png", "digest": {"sha256": "ab" * 32}}], "text": "Übung"}


def write_keys(folder: Path, key: Any, *, ssh: bool = False, password: bytes | None = None) -> tuple[Path, Path]:
    private, public = folder / "key", folder / "key.pub"
    locked = BestAvailableEncryption(password) if password else NoEncryption()
    form = PrivateFormat.OpenSSH if ssh else PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(Encoding.PEM, form, locked))
    kind = (Encoding.OpenSSH, PublicFormat.OpenSSH) if ssh else (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    public.write_bytes(key.public_key().public_bytes(*kind))
    return private, public


@pytest.mark.parametrize("ssh", [False, True])
@pytest.mark.parametrize("curve", [None, ec.SECP256R1(), ec.SECP384R1()], ids=["ed25519", "p256", "p384"])
def test_what_is_signed_can_be_verified(tmp_path: Path, curve: ec.EllipticCurve | None, ssh: bool) -> None:
    key: Any = ed25519.Ed25519PrivateKey.generate() if curve is None else ec.generate_private_key(curve)
    private, public = write_keys(tmp_path, key, ssh=ssh)
    envelope = signed(STATEMENT, private)
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    found = verified(json.dumps(envelope).encode(), public)
    assert found.statement == STATEMENT
    assert found.key_id == envelope["signatures"][0]["keyid"]
    assert subjects(found.statement) == {"a.png": "ab" * 32}


def test_a_changed_statement_does_not_verify(tmp_path: Path) -> None:
    private, public = write_keys(tmp_path, ed25519.Ed25519PrivateKey.generate())
    envelope = signed(STATEMENT, private)
    changed = base64.b64encode(base64.b64decode(envelope["payload"]).replace(b"a.png", b"b.png")).decode()
    with pytest.raises(GraphEngineError, match="no signature of the envelope is of this key"):
        verified(json.dumps({**envelope, "payload": changed}).encode(), public)
    with pytest.raises(GraphEngineError, match="no signature"):
        verified(json.dumps({**envelope, "payloadType": "text/plain"}).encode(), public)


def test_a_signature_of_another_key_does_not_verify(tmp_path: Path) -> None:
    private, _ = write_keys(tmp_path, ed25519.Ed25519PrivateKey.generate())
    envelope = json.dumps(signed(STATEMENT, private)).encode()
    for other in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())):
        _, public = write_keys(tmp_path, other)
        with pytest.raises(GraphEngineError, match="no signature"):
            verified(envelope, public)


def test_a_key_with_a_password_asks_for_it(tmp_path: Path) -> None:
    private, public = write_keys(tmp_path, ed25519.Ed25519PrivateKey.generate(), password=b"word")
    with pytest.raises(KeyLocked):
        signed(STATEMENT, private)
    with pytest.raises(GraphEngineError, match="holds no private key"):
        signed(STATEMENT, private, b"other")
    envelope = signed(STATEMENT, private, b"word")
    assert verified(json.dumps(envelope).encode(), public).statement == STATEMENT


def test_keys_of_other_kinds_and_other_files_are_refused(tmp_path: Path) -> None:
    private, public = write_keys(tmp_path, rsa.generate_private_key(65537, 2048))
    with pytest.raises(GraphEngineError, match="no private key of Ed25519 or ECDSA"):
        signed(STATEMENT, private)
    envelope = json.dumps({"payloadType": "a", "payload": "", "signatures": []}).encode()
    with pytest.raises(GraphEngineError, match="no public key of Ed25519 or ECDSA"):
        verified(envelope, public)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(GraphEngineError, match="holds no private key"):
        signed(STATEMENT, tmp_path / "text")
    with pytest.raises(GraphEngineError, match="cannot be read"):
        signed(STATEMENT, tmp_path / "absent")


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", '{"payloadType": "a", "payload": "b"}', '{"payloadType": "a", "payload": "", "signatures": [1]}'],
)
def test_what_is_no_envelope_is_refused(tmp_path: Path, text: str) -> None:
    _, public = write_keys(tmp_path, ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(GraphEngineError, match="no DSSE envelope"):
        verified(text.encode(), public)


def test_a_payload_that_is_no_base64_is_refused(tmp_path: Path) -> None:
    _, public = write_keys(tmp_path, ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(GraphEngineError, match="no base64"):
        verified(b'{"payloadType": "a", "payload": "%%", "signatures": []}', public)


def test_the_bytes_that_are_signed_are_those_of_the_specification() -> None:
    assert pre_authentication("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_without_cryptography_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(GraphEngineError, match="signing needs the package cryptography") as error:
        signed(STATEMENT, tmp_path / "key")
    assert error.value.hint == "pip install 'graphengine-comfy[sign]'"
