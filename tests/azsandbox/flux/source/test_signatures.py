"""Signatures by gpg and ssh-keygen, and what Flux's own libraries say of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from azsandbox.flux.source.pgp_signatures import verified_pgp
from azsandbox.flux.source.signatures import SignatureError, kind_of, signed_commit, signed_tag
from azsandbox.flux.source.ssh_signatures import verified_ssh

GIVEN: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("signatures.yaml").read_text())
PAYLOAD, KEYS, SIGNATURES = GIVEN["payload"].encode(), GIVEN["keys"], GIVEN["signatures"]
NOBODY = "unable to verify payload with any of the given key rings: no matching key"
NO_SSH_KEY = "unable to verify payload with any of the given authorized keys: no matching key"


@pytest.mark.parametrize(
    ("name", "key"), [("sub", "sub"), ("rsa", "rsa"), ("nist", "nist"), ("text", "rsa")], ids=lambda name: str(name)
)
def test_a_pgp_key_that_signed_is_named_by_its_primary_key(name: str, key: str) -> None:
    others = [KEYS["only"], KEYS["exp"], KEYS[key]]
    found = verified_pgp(SIGNATURES[name], PAYLOAD, others)
    assert found == {"sub": "29EF26EE01A9FFC4", "rsa": "052C61630F511466", "nist": "74E2864D22CCE91B"}[key]
    with pytest.raises(SignatureError, match=NOBODY):
        verified_pgp(SIGNATURES[name], PAYLOAD + b"x", others)


@pytest.mark.parametrize(("name", "key"), [("exp", "exp"), ("rev", "rev"), ("old", "rsa"), ("sub", "only")])
def test_what_expired_was_revoked_or_is_of_another_does_not_count(name: str, key: str) -> None:
    with pytest.raises(SignatureError, match=NOBODY):
        verified_pgp(SIGNATURES[name], PAYLOAD, [KEYS[key]])


@pytest.mark.parametrize(
    ("ring", "said"),
    [
        ("nothing", "openpgp: invalid argument: no armored data found"),
        (SIGNATURES["sub"], "openpgp: invalid argument: expected public or private key block, got: PGP SIGNATURE"),
        (
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----",
            "openpgp: invalid data: tag byte does not have MSB set",
        ),
    ],
)
def test_a_key_ring_that_is_none_is_told_where_no_other_is_there(ring: str, said: str) -> None:
    with pytest.raises(SignatureError) as told:
        verified_pgp(SIGNATURES["sub"], PAYLOAD, [ring])
    assert str(told.value) == f"unable to read armored key ring: {said}"
    with pytest.raises(SignatureError, match=NOBODY):
        verified_pgp(SIGNATURES["sub"], PAYLOAD, [ring, KEYS["only"]])
    assert verified_pgp(SIGNATURES["sub"], PAYLOAD, [ring, KEYS["sub"]])


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_an_ssh_key_that_signed_is_named_by_its_fingerprint(kind: str) -> None:
    keys = "# who may sign\n\n" + "".join(f"{KEYS[f'ssh-{name}']}\n" for name in ("ed25519", "ecdsa", "rsa"))
    found = verified_ssh(SIGNATURES[f"ssh-{kind}"], PAYLOAD, [keys])
    assert (
        found
        == {
            "ed25519": "SHA256:UwnOpRlH4o0yCRTLC3r5X7tDRUexHQuEk4+UKr2O+24",
            "ecdsa": "SHA256:9b/e5JRPeU4e45YnodrZD+KCsWp2Q9va6CVKSh5d5EQ",
            "rsa": "SHA256:Uh+3KYfIhGCUALjIC6GPbORNJ9V/4kNXzLR4tB9WuWA",
        }[kind]
    )
    with_options = f'restrict,command="a b" {KEYS[f"ssh-{kind}"]}'
    assert verified_ssh(SIGNATURES[f"ssh-{kind}"], PAYLOAD, [with_options]) == found


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("ed25519", KEYS["ssh-ecdsa"], f"{NO_SSH_KEY}\npublic key does not match"),
        ("file", KEYS["ssh-ed25519"], f"{NO_SSH_KEY}\nnamespace does not match"),
        ("ed25519", "# nobody", NO_SSH_KEY),
        (
            "ed25519",
            "ssh-ed25519 AAAA!",
            "unable to parse authorized keys: unable to parse authorized key: ssh: no key found; last parsing error "
            "for ignored line: illegal base64 data at input byte 4",
        ),
        (
            "ed25519",
            "ssh-rsa " + KEYS["ssh-ed25519"].split()[1],
            "unable to parse authorized keys: unable to parse authorized key: ssh: no key found; last parsing error "
            'for ignored line: ssh: authorized keys key type mismatch: human-readable type "ssh-rsa", encoded type '
            '"ssh-ed25519"',
        ),
        (
            "ed25519",
            "nothing",
            "unable to parse authorized keys: unable to parse authorized key: ssh: no key found",
        ),
    ],
)
def test_an_ssh_key_that_did_not_sign_is_told(name: str, key: str, said: str) -> None:
    with pytest.raises(SignatureError) as told:
        verified_ssh(SIGNATURES[f"ssh-{name}"], PAYLOAD, [key])
    assert str(told.value) == said


@pytest.mark.parametrize(("kind", "said"), [("ed25519", "ssh: signature did not verify"), ("rsa", "crypto/rsa: ")])
def test_other_content_than_an_ssh_key_signed_is_told(kind: str, said: str) -> None:
    with pytest.raises(SignatureError) as told:
        verified_ssh(SIGNATURES[f"ssh-{kind}"], PAYLOAD + b"x", [KEYS[f"ssh-{kind}"]])
    assert str(told.value).startswith(f"{NO_SSH_KEY}\n{said}")


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("-----BEGIN SSH SIGNATURE-----\nAAAA", "invalid PEM block"),
        ("-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----", "ssh: short read"),
    ],
)
def test_an_ssh_signature_that_cannot_be_read_is_told(signature: str, said: str) -> None:
    with pytest.raises(SignatureError) as told:
        verified_ssh(signature, PAYLOAD, [KEYS["ssh-rsa"]])
    assert str(told.value) == f"unable to unarmor SSH signature: {said}"


def test_a_commits_signature_is_no_part_of_what_is_signed() -> None:
    head, said = b"tree 1\nauthor a", b"\n\nsaid\n-----BEGIN SSH SIGNATURE-----\n"
    raw = head + b"\ngpgsig -----BEGIN SSH SIGNATURE-----\n abc\n \n def\nencoding latin1" + said
    assert signed_commit(raw) == ("-----BEGIN SSH SIGNATURE-----\nabc\n\ndef", head + b"\nencoding latin1" + said)
    assert signed_commit(head + said) == ("", head + said)


def test_a_tags_signature_is_its_last_block() -> None:
    body, signature = b"object 1\n\nsaid\n-----BEGIN PGP SIGNATURE-----\n", b"-----BEGIN SSH SIGNATURE-----\nabc\n"
    assert signed_tag(body + signature) == (signature.decode(), body)
    assert signed_tag(b"object 1\n\nit is -----BEGIN PGP SIGNATURE-----\n")[0] == ""


@pytest.mark.parametrize(
    ("start", "kind"), [("", "empty"), ("-----BEGIN SIGNED MESSAGE-----", "x509"), ("mine", "unknown")]
)
def test_other_signatures_are_named(start: str, kind: str) -> None:
    assert kind_of(start) == kind
