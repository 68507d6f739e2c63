"""What a registry holds: repositories, manifests, tags, and which blobs belong to which repository.

Records lie in the bucket "registry", keyed by the id of a registry's content (not its name: a registry that is made
anew under an old name begins empty). Values of manifests are a line of JSON, then the manifest as it was pushed.
Whatever belongs together is written in one transaction.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from azsandbox.clock import Clock
from azsandbox.registry.blobs import Blobs
from azsandbox.registry.manifests import Manifest
from azsandbox.store import Store

REPOSITORIES, MANIFESTS, TAGS, BLOBS, UPLOADS, REFERRERS = (
    "repositories",
    "manifests",
    "tags",
    "blobs",
    "uploads",
    "referrers",
)
LOCKS = ("deleteEnabled", "writeEnabled", "readEnabled", "listEnabled")


def unlocked() -> dict[str, bool]:
    """Attributes of what nobody locked."""
    return dict.fromkeys(LOCKS, True)


@dataclass
class Repository:
    """A repository's record."""

    name: str
    created: str
    updated: str
    attributes: dict[str, bool] = field(default_factory=unlocked)


@dataclass
class Tag:
    """A tag's record."""

    name: str
    digest: str
    created: str
    updated: str
    attributes: dict[str, bool] = field(default_factory=unlocked)


@dataclass
class Stored:
    """A manifest's record; `content` is empty for an imported image whose upstream manifest the sandbox cannot have."""

    digest: str
    media_type: str
    created: str
    updated: str
    size: int = 0  # bytes of what it refers to
    artifact_type: str = ""
    config_media_type: str = ""
    platform: dict[str, str] = field(default_factory=dict)  # architecture, os
    blobs: list[str] = field(default_factory=list)
    children: list[dict[str, Any]] = field(default_factory=list)  # of an index: digest, architecture, os
    subject: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    upstream: str = ""  # of an import: where it was imported from
    untagged: str = ""  # when it lost its last tag; "" for one that has a tag or never had any
    attributes: dict[str, bool] = field(default_factory=unlocked)
    content: bytes = b""

    def dump(self) -> bytes:
        return orjson.dumps({k: v for k, v in self.__dict__.items() if k != "content"}) + b"\n" + self.content

    @classmethod
    def load(cls, value: bytes) -> Stored:
        head, _, content = value.partition(b"\n")
        return cls(**orjson.loads(head), content=content)


class Contents:
    """The content of all registries, and the blobs behind it."""

    def __init__(self, store: Store, blobs: Blobs, clock: Clock) -> None:
        self.store, self.blobs, self.clock = store, blobs, clock
        self.bucket = store.bucket("registry")
        self.users = Counter(r.key.rpartition("@")[2] for r in self.bucket.list(BLOBS))  # digest → repositories with it

    def of(self, registry: str) -> Content:
        """The content of the registry with that content id."""
        return Content(self, registry)

    def drop(self, registry: str) -> None:
        """Deletes a registry's records, and the blobs that no other uses. Safe to call again."""
        prefix = f"{registry}/"
        gone = [r.key.rpartition("@")[2] for r in self.bucket.list(BLOBS, prefix)]
        with self.store.atomic():
            for collection in (REPOSITORIES, MANIFESTS, TAGS, BLOBS, REFERRERS, UPLOADS):
                for record in self.bucket.list(collection, prefix):
                    self.bucket.delete(collection, record.key)
                    if collection == UPLOADS:
                        self.blobs.cancel(record.key.rpartition("@")[2])
        for digest in gone:
            self.release(digest)

    def sweep(self, registries: set[str]) -> None:
        """Removes what a crash left: content of registries that are no more, files that no record names."""
        for collection in (REPOSITORIES, BLOBS, UPLOADS):
            for known in {r.key.partition("/")[0] for r in self.bucket.list(collection)} - registries:
                self.drop(known)
        for digest in list(self.blobs.all()):
            if digest not in self.users:
                self.blobs.remove(digest)
        known_uploads = {r.key.rpartition("@")[2] for r in self.bucket.list(UPLOADS)}
        for upload in self.blobs.all_uploads():
            if upload not in known_uploads:
                self.blobs.cancel(upload)

    def release(self, digest: str) -> None:
        """A record of a blob was deleted; with the last one its file goes too."""
        self.users[digest] -= 1
        if self.users[digest] <= 0:
            del self.users[digest]
            self.blobs.remove(digest)

    def now(self) -> str:
        """The time as the registry writes it, with seven decimals."""
        return self.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


class Content:
    """One registry's content. Reading methods return None, or an empty list, for what is not there."""

    def __init__(self, contents: Contents, registry: str) -> None:
        self._all, self.registry = contents, registry
        self._bucket, self._blobs = contents.bucket, contents.blobs

    # --- repositories

    def repositories(self) -> list[str]:
        """Names, sorted."""
        prefix = f"{self.registry}/"
        return [r.key[len(prefix) :] for r in self._bucket.list(REPOSITORIES, prefix)]

    def repository(self, name: str) -> Repository | None:
        record = self._bucket.get(REPOSITORIES, self._key(name))
        return Repository(**orjson.loads(record.value)) if record else None

    def lock_repository(self, name: str, attributes: dict[str, bool]) -> Repository | None:
        """Changes what may be done with a repository."""
        found = self.repository(name)
        if found is None:
            return None
        found.attributes |= attributes
        self._bucket.put(REPOSITORIES, self._key(name), orjson.dumps(asdict(found)))
        return found

    def delete_repository(self, name: str) -> tuple[list[str], list[str]]:
        """Deletes a repository with all that is in it; returns the digests and the tags that it had."""
        digests = [m.digest for m in self.manifests(name)]
        tags = [t.name for t in self.tags(name)]
        links = [r.key.rpartition("@")[2] for r in self._bucket.list(BLOBS, self._key(name) + "@")]
        with self._all.store.atomic():
            for collection, end in ((MANIFESTS, "@"), (TAGS, ":"), (BLOBS, "@"), (REFERRERS, "@")):
                for record in self._bucket.list(collection, self._key(name) + end):
                    self._bucket.delete(collection, record.key)
            if self._bucket.get(REPOSITORIES, self._key(name)):
                self._bucket.delete(REPOSITORIES, self._key(name))
        for digest in links:
            self._all.release(digest)
        return digests, tags

    # --- manifests and tags

    def manifests(self, name: str) -> list[Stored]:
        """Manifests of a repository, by digest."""
        return [Stored.load(r.value) for r in self._bucket.list(MANIFESTS, self._key(name) + "@")]

    def manifest(self, name: str, reference: str) -> Stored | None:
        """The manifest of a digest or a tag."""
        if ":" not in reference:
            tag = self.tag(name, reference)
            if tag is None:
                return None
            reference = tag.digest
        record = self._bucket.get(MANIFESTS, f"{self._key(name)}@{reference}")
        return Stored.load(record.value) if record else None

    def tags(self, name: str) -> list[Tag]:
        """Tags of a repository, by name."""
        return [Tag(**orjson.loads(r.value)) for r in self._bucket.list(TAGS, self._key(name) + ":")]

    def tag(self, name: str, tag: str) -> Tag | None:
        record = self._bucket.get(TAGS, f"{self._key(name)}:{tag}")
        return Tag(**orjson.loads(record.value)) if record else None

    def put_manifest(self, name: str, stored: Stored, tags: list[str]) -> Stored:
        """Stores a manifest and points tags at it; one that is there already keeps its times and locks."""
        now = self._all.now()
        held = self.manifest(name, stored.digest)
        if held is not None:
            stored.created, stored.updated, stored.attributes = held.created, held.updated, held.attributes
            stored.content, stored.untagged = stored.content or held.content, "" if tags else held.untagged
        else:
            stored.created = stored.updated = now
        repository = self.repository(name) or Repository(name, now, now)
        repository.updated = now
        with self._all.store.atomic():
            self._bucket.put(REPOSITORIES, self._key(name), orjson.dumps(asdict(repository)))
            self._bucket.put(MANIFESTS, f"{self._key(name)}@{stored.digest}", stored.dump())
            if stored.subject:
                self._bucket.put(REFERRERS, f"{self._key(name)}@{stored.subject}/{stored.digest}", b"")
            for tag in tags:
                self._put_tag(name, tag, stored.digest, now)
        return stored

    def _put_tag(self, name: str, tag: str, digest: str, now: str) -> None:
        held = self.tag(name, tag) or Tag(tag, digest, now, now)
        before, held.digest, held.updated = held.digest, digest, now
        self._bucket.put(TAGS, f"{self._key(name)}:{tag}", orjson.dumps(asdict(held)))
        if before != digest:
            self._note_untagged(name, before, now)

    def _note_untagged(self, name: str, digest: str, now: str) -> None:
        """Writes down when a manifest lost its last tag, if it did."""
        found = self.manifest(name, digest)
        if found is not None and not any(tag.digest == digest for tag in self.tags(name)):
            found.untagged = now
            self._bucket.put(MANIFESTS, f"{self._key(name)}@{digest}", found.dump())

    def lock_manifest(self, name: str, digest: str, attributes: dict[str, bool]) -> Stored | None:
        """Changes what may be done with a manifest."""
        found = self.manifest(name, digest)
        if found is None:
            return None
        found.attributes |= attributes
        self._bucket.put(MANIFESTS, f"{self._key(name)}@{digest}", found.dump())
        return found

    def lock_tag(self, name: str, tag: str, attributes: dict[str, bool]) -> Tag | None:
        """Changes what may be done with a tag."""
        found = self.tag(name, tag)
        if found is None:
            return None
        found.attributes |= attributes
        self._bucket.put(TAGS, f"{self._key(name)}:{tag}", orjson.dumps(asdict(found)))
        return found

    def delete_tag(self, name: str, tag: str) -> None:
        """Removes a tag; its manifest stays."""
        found = self.tag(name, tag)
        if found is None:
            return
        with self._all.store.atomic():
            self._bucket.delete(TAGS, f"{self._key(name)}:{tag}")
            self._note_untagged(name, found.digest, self._all.now())
            self._touch(name)

    def delete_manifest(self, name: str, digest: str) -> None:
        """Deletes a manifest, the tags that point at it, and the blobs that no other manifest here refers to.

        With its last manifest a repository is gone ("Delete container images in Azure Container Registry").
        """
        found = self.manifest(name, digest)
        if found is None:
            return
        others = [m for m in self.manifests(name) if m.digest != digest]
        kept = {blob for manifest in others for blob in manifest.blobs}
        gone = [b for b in dict.fromkeys(found.blobs) if b not in kept and self._linked(name, b)]
        with self._all.store.atomic():
            self._bucket.delete(MANIFESTS, f"{self._key(name)}@{digest}")
            for tag in self.tags(name):
                if tag.digest == digest:
                    self._bucket.delete(TAGS, f"{self._key(name)}:{tag.name}")
            if found.subject and self._bucket.get(REFERRERS, f"{self._key(name)}@{found.subject}/{digest}"):
                self._bucket.delete(REFERRERS, f"{self._key(name)}@{found.subject}/{digest}")
            for blob in gone:
                self._bucket.delete(BLOBS, f"{self._key(name)}@{blob}")
            if not others:
                self._bucket.delete(REPOSITORIES, self._key(name))
            else:
                self._touch(name)
        for blob in gone:
            self._all.release(blob)

    def referrers(self, name: str, digest: str) -> list[Stored]:
        """Manifests whose subject is `digest`, whether that is there or not."""
        records = self._bucket.list(REFERRERS, f"{self._key(name)}@{digest}/")
        found = [self.manifest(name, r.key.rpartition("/")[2]) for r in records]
        return [m for m in found if m is not None]

    # --- blobs and uploads

    def blob_size(self, name: str, digest: str) -> int | None:
        """Bytes of a blob of the repository."""
        return self._blobs.size(digest) if self._linked(name, digest) else None

    def holder(self, digest: str) -> str | None:
        """A repository of this registry that has the blob."""
        prefix = f"{self.registry}/"
        found = (r.key for r in self._bucket.list(BLOBS, prefix) if r.key.endswith(f"@{digest}"))
        return next((key[len(prefix) :].rpartition("@")[0] for key in found), None)

    def link(self, name: str, digest: str) -> None:
        """The blob belongs to the repository from now on."""
        if not self._linked(name, digest):
            self._bucket.create(BLOBS, f"{self._key(name)}@{digest}", b"")
            self._all.users[digest] += 1

    def add_blob(self, name: str, content: bytes) -> str:
        """Stores a small blob in a repository; returns its digest."""
        digest = self._blobs.put(content)
        self.link(name, digest)
        return digest

    def delete_blob(self, name: str, digest: str) -> bool:
        """Takes a blob from a repository; False if it has none such."""
        if not self._linked(name, digest):
            return False
        self._bucket.delete(BLOBS, f"{self._key(name)}@{digest}")
        self._all.release(digest)
        return True

    def read_blob(self, digest: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes `start` to `end` (inclusive) of a blob."""
        return self._blobs.read(digest, start, end)

    def blob(self, digest: str) -> bytes:
        """A small blob as a whole. Raises FileNotFoundError."""
        return self._blobs.content(digest)

    def begin_upload(self, name: str) -> str:
        """Starts an upload into a repository; returns its id."""
        upload = str(uuid.uuid4())
        self._blobs.begin(upload)
        self._bucket.create(UPLOADS, f"{self._key(name)}@{upload}", self._all.now().encode())
        return upload

    def upload_size(self, name: str, upload: str) -> int | None:
        """Bytes that an upload has; None if there is none such."""
        if self._bucket.get(UPLOADS, f"{self._key(name)}@{upload}") is None:
            return None
        try:
            return self._blobs.uploaded(upload)
        except FileNotFoundError:
            return None

    async def append_upload(self, upload: str, chunks: AsyncIterator[bytes], algorithm: str = "sha256") -> int:
        """Adds what comes in to an upload; returns its size."""
        return await self._blobs.append(upload, chunks, algorithm)

    def finish_upload(self, name: str, upload: str, digest: str) -> bool:
        """Makes an upload a blob of the repository; False, and the upload is gone, if its digest is another."""
        size = self._blobs.finish(upload, digest)
        with self._all.store.atomic():
            self._bucket.delete(UPLOADS, f"{self._key(name)}@{upload}")
            if size is not None:
                self.link(name, digest)
        if size is None:
            self._blobs.cancel(upload)
        return size is not None

    def cancel_upload(self, name: str, upload: str) -> None:
        """Ends an upload without a blob."""
        self._bucket.delete(UPLOADS, f"{self._key(name)}@{upload}")
        self._blobs.cancel(upload)

    def usage(self) -> int:
        """Bytes that the registry stores; a blob in several repositories counts once (Azure does the same)."""
        digests = {r.key.rpartition("@")[2] for r in self._bucket.list(BLOBS, f"{self.registry}/")}
        return sum(self._blobs.size(digest) or 0 for digest in digests)

    # --- inside

    def _key(self, name: str) -> str:
        return f"{self.registry}/{name}"

    def _linked(self, name: str, digest: str) -> bool:
        return self._bucket.get(BLOBS, f"{self._key(name)}@{digest}") is not None

    def _touch(self, name: str) -> None:
        found = self.repository(name)
        if found is not None:
            found.updated = self._all.now()
            self._bucket.put(REPOSITORIES, self._key(name), orjson.dumps(asdict(found)))


def describe(manifest: Manifest, digest: str, content: bytes, config: dict[str, Any], sizes: dict[str, int]) -> Stored:
    """The record of a manifest that was pushed. `config` is the image's configuration, where that is readable;
    `sizes` are those of an index's children, by digest."""
    platform = {key: str(config[key]) for key in ("architecture", "os") if isinstance(config.get(key), str)}
    children = [
        {
            "digest": d["digest"],
            **{k: str(v) for k, v in (d.get("platform") or {}).items() if k in ("architecture", "os")},
        }
        for d in manifest.manifests
    ]
    return Stored(
        digest,
        manifest.media_type,
        "",
        "",
        size=manifest.size if not children else sum(sizes.values()),
        artifact_type=manifest.artifact_type,
        config_media_type=str((manifest.config or {}).get("mediaType") or ""),
        platform=platform,
        blobs=manifest.blobs,
        children=children,
        subject=str((manifest.subject or {}).get("digest") or ""),
        annotations=manifest.annotations,
        content=content,
    )
