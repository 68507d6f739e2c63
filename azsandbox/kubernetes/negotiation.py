"""Which representation a client accepts, and bodies written in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.request import Object, Request

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
PLAIN = (JSON, YAML, PROTOBUF)
STREAMS = ("application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")


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


def clauses(accept: str) -> list[tuple[str, dict[str, str]]]:
    """Media types of an Accept header with their parameters, best first."""
    found = []
    for index, clause in enumerate(accept.split(",")):
        media, *rest = [part.strip() for part in clause.split(";")]
        params = dict(part.split("=", 1) for part in rest if "=" in part)
        try:
            quality = float(params.pop("q", "1"))
        except ValueError:
            quality = 0.0
        found.append((-quality, index, media.lower(), params))
    return [(media, params) for _, _, media, params in sorted(found, key=lambda c: c[:2])]


def accepted(request: Request, tables: bool = True, custom: bool = False) -> Accepted:
    """What the client takes. Raises 406. `tables`: the answer can be a Table or metadata alone.

    Answers are never protobuf: a client that takes nothing else is refused, one that takes JSON too gets JSON.
    """
    header = request.headers.get("accept", "")
    if not header:
        return Accepted()
    for media, params in clauses(header):
        form = params.get("as", "")
        if form:
            known = form in ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
            if not tables or not known or params.get("g") != "meta.k8s.io" or params.get("v") not in ("v1", "v1beta1"):
                continue
        if media in ("*/*", JSON):
            return Accepted(JSON, form, params.get("v", "v1"), params)
        if media in (YAML, "application/x-yaml") and not form:
            return Accepted(YAML, form, params.get("v", "v1"), params)
    if "as=" in header:  # the media type would do, the form would not
        raise errors.not_acceptable([m for m in PLAIN if not (custom and m == PROTOBUF)])
    raise not_acceptable(request, custom)


def not_acceptable(request: Request, custom: bool = False) -> StatusError:
    """406 as the installed handlers of resources say it."""
    offered = [m for m in PLAIN if not (custom and m == PROTOBUF)]
    if request.verb in ("get", "list", "watch") and not request.name:
        offered += STREAMS
    text = f"406: Not Acceptable\n\nAvailable representations: {', '.join(offered)}"
    return StatusError(406, "NotAcceptable", text, {})


def to_yaml(value: Object) -> bytes:
    """YAML as the API server writes it: block style, keys sorted."""
    import yaml  # rarely asked for

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(value, Dumper=dumper, sort_keys=True, default_flow_style=False, allow_unicode=True)
    return text.encode()


def encode(value: Object | bytes, media: str = JSON, pretty: bool = False) -> bytes:
    """The body of an answer, in a media type. Bytes are JSON already."""
    if media == YAML:
        return to_yaml(orjson.loads(value) if isinstance(value, bytes) else value)
    if pretty:
        data = orjson.loads(value) if isinstance(value, bytes) else value
        return orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n"
    return value if isinstance(value, bytes) else orjson.dumps(value)
