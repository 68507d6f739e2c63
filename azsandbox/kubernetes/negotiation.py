"""Which representation a client accepts, and bodies written in it.

Rules: k8s.io/apiserver, pkg/endpoints/handlers/negotiation; github.com/munnerz/goautoneg; go-restful before both.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import orjson

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.request import Object, Request

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
PLAIN = (JSON, YAML, PROTOBUF)
STREAMS = ("application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
_METADATA = ("PartialObjectMetadata", "PartialObjectMetadataList")
_BROWSERS = ("curl", "Wget", "Mozilla/5.0")  # user agents of people, who get indented JSON


@dataclass(frozen=True)
class Accepted:
    """What an answer is to be: a media type, and an object, a Table or metadata alone."""

    media: str = JSON
    form: str = ""  # "Table", "PartialObjectMetadata", "PartialObjectMetadataList" or "" for the object itself
    form_version: str = "v1"
    params: dict[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        return self.media

    @property
    def stream_type(self) -> str:
        """The content type of a watch."""
        return f"{PROTOBUF};stream=watch" if self.media == PROTOBUF else self.media


@dataclass
class _Clause:
    kind: str
    subkind: str
    quality: float
    params: dict[str, str]

    @property
    def media(self) -> str:
        return f"{self.kind}/{self.subkind}"

    def before(self, other: _Clause) -> bool:
        if self.quality > other.quality:
            return True
        if self.kind != "*" and other.kind == "*":
            return True
        return self.subkind != "*" and other.subkind == "*"

    def covers(self, media: str) -> bool:
        kind, _, subkind = media.partition("/")
        if self.kind == "*":
            return self.subkind == "*"
        return self.kind == kind and self.subkind in (subkind, "*")


@functools.lru_cache(maxsize=128)
def _parsed(accept: str) -> tuple[_Clause, ...]:
    """The clauses of a header, best first; kept, as clients send the same ones again and again."""
    found: list[_Clause] = []
    for part in accept.split(","):
        media, *rest = part.strip(" ").split(";")
        kind, slash, subkind = media.partition("/")
        kind, subkind = kind.strip(" "), subkind.strip(" ")
        if kind == "*" and not slash:
            subkind = "*"
        if not subkind or "/" in subkind:
            continue
        clause = _Clause(kind, subkind, 1.0, {})
        for item in rest:
            name, _, value = item.partition("=")
            if not value or "=" in value:
                continue
            if name.strip(" ") == "q":
                clause.quality = _quality(value)
            else:
                clause.params[name.strip(" ")] = value.strip(" ")
        place = len(found)
        while place and clause.before(found[place - 1]):
            place -= 1
        found.insert(place, clause)
    return tuple(found)


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def clauses(accept: str) -> list[tuple[str, dict[str, str]]]:
    """Media types of an Accept header with their parameters, best first."""
    return [(clause.media, clause.params) for clause in _parsed(accept)]


def accepted(request: Request, tables: bool = True, custom: bool = False) -> Accepted:
    """What the client takes. Raises 406.

    `tables`: the answer can be a Table or metadata alone. Objects of `custom` resources have no form in protobuf.
    """
    header = request.headers.get("accept", "")
    if not header:
        return Accepted()
    if request.resource is not None and not custom and not _produced(header):
        raise not_acceptable(request)
    for clause in _parsed(header):
        for media in PLAIN:
            if clause.covers(media) and _serves(media, clause.params, tables, custom):
                return Accepted(media, clause.params.get("as", ""), clause.params.get("v", "v1"), clause.params)
    raise errors.not_acceptable(PLAIN)


def produced(request: Request) -> None:
    """Refuses, before anything is done, what the installed handlers cannot make. Raises 406."""
    header = request.headers.get("accept", "")
    if header and request.resource is not None and not request.resource.custom and not _produced(header):
        raise not_acceptable(request)


@functools.lru_cache(maxsize=128)
def _produced(header: str) -> bool:
    """Whether an installed handler makes one of the media types, which go-restful compares as they are written."""
    media = (clause.partition(";")[0].strip() for clause in header.split(","))
    return any(item == "*/*" or item in PLAIN for item in media)


def _serves(media: str, params: dict[str, str], tables: bool, custom: bool) -> bool:
    if params.get("stream", "watch") != "watch" or (params.get("stream") and media == YAML):
        return False
    if not {"as", "g", "v"} & params.keys():
        return media != PROTOBUF or not custom
    if not tables or params.get("g") != "meta.k8s.io" or params.get("v") not in ("v1", "v1beta1"):
        return False
    form = params.get("as")
    return form in _METADATA or (form == "Table" and media != PROTOBUF)


def not_acceptable(request: Request) -> StatusError:
    """406 as the installed handlers of resources say it."""
    offered = list(PLAIN)
    if request.verb in ("get", "list", "watch") and not request.name:
        offered += STREAMS
    text = f"406: Not Acceptable\n\nAvailable representations: {', '.join(offered)}"
    return StatusError(406, "NotAcceptable", text, {})


def pretty(request: Request) -> bool:
    """Whether an answer is indented: as asked, or because the client is one that people read."""
    asked = request.param("pretty")
    if asked:
        return asked in ("1", "t", "T", "TRUE", "true", "True")
    return request.user_agent.startswith(_BROWSERS)


def encode(value: Object | bytes, media: str = JSON, indented: bool = False) -> bytes:
    """The body of an answer, in a media type. Bytes are JSON already. Raises 406 for what has no such form."""
    if media == JSON and not indented:
        return (value if isinstance(value, bytes) else orjson.dumps(value)) + b"\n"
    data = orjson.loads(value) if isinstance(value, bytes) else value
    if media == YAML:
        from azsandbox.kubernetes.schema import yaml_writer

        return yaml_writer.write(data)
    if media == PROTOBUF:
        from azsandbox.kubernetes import protobuf
        from azsandbox.kubernetes.schema.definitions import definitions

        found = protobuf.encode(definitions(), data)
        if found is None:
            raise errors.not_acceptable((JSON, YAML))
        return found
    return orjson.dumps(data, option=orjson.OPT_INDENT_2)
