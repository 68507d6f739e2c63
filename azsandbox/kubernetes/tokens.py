"""Service account tokens: issued by TokenRequest, verified on every request.

Claims and rules: k8s.io/kubernetes, pkg/serviceaccount.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import time
import uuid
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.kubernetes.request import Object, User

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from azsandbox.kubernetes.server import ApiServer
    from azsandbox.store import Bucket

ISSUER = "https://kubernetes.default.svc"
_COLLECTION, _KEY = "server/keys", "service-account"
_EXTRA = "authentication.kubernetes.io/"
_LEGACY = "kubernetes/serviceaccount"  # the issuer of tokens in Secrets


class ServiceAccountTokens:
    """Signs and verifies tokens with a key that lies in the cluster's bucket."""

    def __init__(self, server: ApiServer, issuer: str = ISSUER) -> None:
        self.server, self.issuer = server, issuer
        self.issuers, self.audiences = [issuer], [issuer]
        self.jwks_uri = ""
        self._private: RSAPrivateKey | None = None
        self._verified: dict[str, Any] = {}  # tokens whose signature was good, with their claims

    @property
    def key(self) -> RSAPrivateKey:
        """The signing key, made when first needed."""
        if self._private is None:
            self._private = signing_key(self.server.registry.bucket)
        return self._private

    @property
    def key_id(self) -> str:
        return key_id(self.key)

    def issue_as(self, issuer: str, jwks_uri: str) -> None:
        """Issues tokens of a public issuer from now on; those of the issuers before stay good."""
        if issuer not in self.issuers:
            self.issuers = self.audiences = [issuer, *self.issuers]
        self.issuer, self.jwks_uri = issuer, jwks_uri

    def issue(
        self,
        account: Object,
        audiences: list[str],
        seconds: int,
        bound: Object | None = None,
        node: Object | None = None,
    ) -> str:
        """A token for a service account, for `seconds`; `bound` is the Pod, Secret or Node that it lives with."""
        import jwt

        metadata = account["metadata"]
        now = int(time.time())
        private: Object = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        if bound:
            kind = bound["kind"].lower()
            private[kind] = {"name": bound["metadata"]["name"], "uid": bound["metadata"]["uid"]}
        if node:
            private["node"] = {"name": node["metadata"]["name"], "uid": node["metadata"]["uid"]}
        claims = {
            "aud": audiences,
            "exp": now + seconds,
            "iat": now,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            "nbf": now,
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.key_id})

    def legacy(self, account: Object, secret: Object) -> str:
        """The token of a Secret of type kubernetes.io/service-account-token: it has no end."""
        import jwt

        metadata = account["metadata"]
        claims = {
            "iss": _LEGACY,
            "kubernetes.io/serviceaccount/namespace": metadata["namespace"],
            "kubernetes.io/serviceaccount/secret.name": secret["metadata"]["name"],
            "kubernetes.io/serviceaccount/service-account.name": metadata["name"],
            "kubernetes.io/serviceaccount/service-account.uid": metadata["uid"],
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.key_id})

    def claims_of(self, token: str) -> Object | None:
        """The claims of a token of this cluster that has not expired; None for any other."""
        if token.count(".") != 2:
            return None
        claims: Object | None = self._verified.get(token)
        if claims is None:
            claims = self._verify(token)
            if claims is None:
                return None
            if len(self._verified) > 512:
                self._verified.clear()
            self._verified[token] = claims
        if claims.get("exp", time.time() + 1) < time.time():
            return None
        return claims

    def _verify(self, token: str) -> Object | None:
        try:
            payload = token.split(".")[1]
            issuer = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("iss")
        except (ValueError, AttributeError):
            return None
        if issuer not in (*self.issuers, _LEGACY):
            return None
        import jwt

        try:
            return dict(jwt.decode(token, self.key.public_key(), algorithms=["RS256"], options={"verify_aud": False}))
        except jwt.PyJWTError:
            return None

    def user_of(self, token: str, audiences: list[str] | None = None) -> User | None:
        """The user of a token, if its account and what it is bound to still live."""
        claims = self.claims_of(token)
        if claims is None:
            return None
        if claims["iss"] == _LEGACY:
            return self._legacy_user(claims, token)
        if not set(claims.get("aud") or ()) & set(audiences or self.audiences):
            return None
        private = claims["kubernetes.io"]
        namespace, account = private["namespace"], private["serviceaccount"]
        if not self._lives("serviceaccounts", namespace, account):
            return None
        extra: dict[str, tuple[str, ...]] = {f"{_EXTRA}credential-id": (f"JTI={claims['jti']}",)}
        for kind, resource in (("pod", "pods"), ("secret", "secrets")):
            if kind in private:
                if not self._lives(resource, namespace, private[kind]):
                    return None
                if kind == "pod":
                    extra[f"{_EXTRA}pod-name"] = (private[kind]["name"],)
                    extra[f"{_EXTRA}pod-uid"] = (private[kind]["uid"],)
        if "node" in private:
            extra[f"{_EXTRA}node-name"] = (private["node"]["name"],)
            extra[f"{_EXTRA}node-uid"] = (private["node"]["uid"],)
        return _user(namespace, account["name"], account["uid"], extra)

    def _legacy_user(self, claims: Object, token: str) -> User | None:
        prefix = "kubernetes.io/serviceaccount/"
        namespace = claims[f"{prefix}namespace"]
        secret = self.server.peek("secrets", namespace, claims[f"{prefix}secret.name"])
        if secret is None or base64.b64decode((secret.get("data") or {}).get("token", "")).decode() != token:
            return None
        name, uid = claims[f"{prefix}service-account.name"], claims[f"{prefix}service-account.uid"]
        if not self._lives("serviceaccounts", namespace, {"name": name, "uid": uid}):
            return None
        return _user(namespace, name, uid, {})

    def _lives(self, resource: str, namespace: str, ref: Object) -> bool:
        found = self.server.peek(resource, namespace, ref["name"])
        return found is not None and found["metadata"]["uid"] == ref["uid"]

    def openid_configuration(self) -> Object:
        return {
            "issuer": self.issuer,
            "jwks_uri": self.jwks_uri or f"https://{self.server.address}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def jwks(self) -> Object:
        return key_set(self.key)


def signing_key(bucket: Bucket) -> RSAPrivateKey:
    """The key that signs the tokens of the cluster whose state is in `bucket`, made when first needed."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    record = bucket.get(_COLLECTION, _KEY)
    if record is None:
        made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = made.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        record = bucket.create(_COLLECTION, _KEY, pem)
    return _read(record.value)


@functools.lru_cache(maxsize=64)
def _read(pem: bytes) -> RSAPrivateKey:
    """A key from its text, read once: that its numbers make a key is proved each time, in a twentieth of a second."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    loaded = serialization.load_pem_private_key(pem, None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    return loaded


def key_id(key: RSAPrivateKey) -> str:
    """The id of a signing key, as tokens and the key set name it."""
    from cryptography.hazmat.primitives import serialization

    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")


def key_set(key: RSAPrivateKey) -> Object:
    """The public half of a signing key as a JSON web key set."""
    numbers = key.public_key().public_numbers()

    def number(value: int) -> str:
        return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode().rstrip("=")

    head = {"use": "sig", "kty": "RSA", "kid": key_id(key), "alg": "RS256"}
    return {"keys": [{**head, "n": number(numbers.n), "e": number(numbers.e)}]}


def _user(namespace: str, name: str, uid: str, extra: dict[str, tuple[str, ...]]) -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid, extra)
