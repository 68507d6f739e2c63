"""The values of a release: spec.valuesFrom one after the other, and spec.values over them (fluxcd/pkg/chartutil)."""

from __future__ import annotations

import base64
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux.helm import engine
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.schema import yaml_text
from azsandbox.kubernetes.schema.yaml_text import BadYaml

Values = dict[str, Any]
_RESOURCES = {"ConfigMap": "configmaps", "Secret": "secrets"}
_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\,[]{}"})


class ValuesFailed(Exception):
    """Values that are not there or cannot be read; the message is Flux's."""


async def composed(client: KubeClient, obj: Object, log: list[str]) -> Values:
    """The values of a HelmRelease. Adds to `log` what it passes over. Raises ValuesFailed and StatusError."""
    own: Values = obj["spec"].get("values") or {}
    namespace = obj["metadata"]["namespace"]
    resources: dict[tuple[str, str], Object | None] = {}
    result: Values = {}
    for reference in obj["spec"].get("valuesFrom") or ():
        text = await _text(client, namespace, reference, resources, log)
        if text is None:
            continue
        if reference.get("targetPath"):
            result = merged(result, own)
            try:
                result = _at(result, reference["targetPath"], text, bool(reference.get("literal")))
            except ValueError as error:
                raise _failed(namespace, reference, str(error)) from None
            continue
        result = merged(result, _read(namespace, reference, text))
    return merged(result, own)


def merged(one: Values, other: Values) -> Values:
    """One map with another over it."""
    found = dict(one)
    for key, value in other.items():
        old = found.get(key)
        found[key] = merged(old, value) if isinstance(value, dict) and isinstance(old, dict) else value
    return found


async def _text(
    client: KubeClient,
    namespace: str,
    reference: Object,
    resources: dict[tuple[str, str], Object | None],
    log: list[str],
) -> str | None:
    """What a reference names; None for an optional one that names nothing."""
    kind, name = reference["kind"], reference["name"]
    optional = bool(reference.get("optional"))
    if kind not in _RESOURCES:
        raise _failed(namespace, reference, "unsupported values reference kind")
    if (kind, name) not in resources:
        try:
            resources[kind, name] = await client.get(path("v1", _RESOURCES[kind], namespace, name))
        except StatusError as error:
            if error.code != 404:
                raise
            resources[kind, name] = None
            failure = _failed(namespace, reference, error.message)
            if not optional:
                raise failure from None
            log.append(str(failure))
            return None
    found = resources[kind, name]
    if found is None:
        if optional:
            return None
        raise _failed(namespace, reference, "resource not found")
    data = (found.get("data") or {}).get(_key(reference))
    if data is None:
        failure = _failed(namespace, reference, "key not found")
        if not optional:
            raise failure
        log.append(str(failure))
        return None
    return base64.b64decode(data).decode("utf-8", "replace") if kind == "Secret" else str(data)


def _key(reference: Object) -> str:
    return str(reference.get("valuesKey") or "values.yaml")


def _failed(namespace: str, reference: Object, why: str) -> ValuesFailed:
    optional = " optional" if reference.get("optional") else ""
    where = f"'{namespace}/{reference['name']}' with key '{_key(reference)}'"
    return ValuesFailed(f"could not resolve{optional} {reference['kind']} chart values reference {where}: {why}")


def _read(namespace: str, reference: Object, text: str) -> Values:
    try:
        value, _ = yaml_text.parse(text.encode())
    except BadYaml as error:
        raise _failed(namespace, reference, f"error converting YAML to JSON: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        kinds: dict[type, str] = {list: "array", str: "string", bool: "bool"}
        kind = kinds.get(type(value), "number")
        what = f"json: cannot unmarshal {kind} into Go value of type common.Values"
        raise _failed(namespace, reference, f"error unmarshaling JSON: while decoding JSON: {what}")
    return value


def _at(values: Values, place: str, text: str, literal: bool) -> Values:
    """Values with a text at a place such as `a.b[0]`: as `--set` reads it, or verbatim. Raises ValueError."""
    as_string = literal
    if literal:
        text = text.translate(_SPECIAL)
    else:
        for quote in ("'", '"'):
            if len(text) > 0 and text.startswith(quote) and text.endswith(quote):
                text, as_string = text.strip("'\""), True
                break
    return _over(values, engine.parse_set(f"{place}={text}", as_string))


def _over(old: Any, new: Any) -> Any:
    """As `merged`, and item by item in lists: places of a list that an index passes over stay as they were."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _over(old.get(key), value) for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list):
        longest = max(len(old), len(new))
        pairs = ((old[i] if i < len(old) else None, new[i] if i < len(new) else None) for i in range(longest))
        return [before if after is None else _over(before, after) for before, after in pairs]
    return new
