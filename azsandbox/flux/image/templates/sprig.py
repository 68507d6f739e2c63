"""Functions of Masterminds/sprig that give the same for the same, which are those that Flux lets a message use.

Those that make keys, passwords and paths of an operating system, and the rarer ones, are refused by name.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import posixpath
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import sub, truediv
from typing import Any, NoReturn

from azsandbox.flux.image.templates.functions import limited
from azsandbox.flux.image.templates.runner import FunctionError
from azsandbox.flux.image.templates.values import Struct, is_true, ordered, shown, type_name
from azsandbox.flux.quoting import quoted
from azsandbox.flux.semver import InvalidVersion, Range, Version
from azsandbox.patterns import PatternError, compiled

_MOST = 10_000  # items that a function may make


def _strings(value: Any) -> list[str]:
    """A list as texts; one value is a list of one."""
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value if item is not None]
    return [shown(value)]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise FunctionError(f"Cannot iterate over type {type_name(value)}")
    return list(value)


def _int(value: Any) -> int:
    if isinstance(value, bool):
        return int(value)
    try:
        return math.trunc(float(value)) if not isinstance(value, int) else value
    except (TypeError, ValueError, OverflowError):
        return 0


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _range(start: int, stop: int, step: int) -> list[int]:
    if step == 0 or (stop - start) * step < 0:
        return []
    found = range(start, stop, step)
    if len(found) > _MOST:
        raise FunctionError(f"NotSupportedInSandbox: a list of more than {_MOST} items")
    return list(found)


def _indent(spaces: int, text: str) -> str:
    pad = " " * min(spaces, 1000)
    return limited(pad + text.replace("\n", "\n" + pad))


def _abbrev(width: int, text: str) -> str:
    return text if width < 4 or len(text) <= width else text[: width - 3] + "..."


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", text)


def _default(default: Any, value: Any = None) -> Any:
    return value if is_true(value) else default


def _dict(*pairs: Any) -> dict[str, Any]:
    padded = [*pairs, ""] if len(pairs) % 2 else list(pairs)
    return {shown(padded[at]): padded[at + 1] for at in range(0, len(padded), 2)}


def _changed(found: dict[str, Any], key: str, *value: Any) -> dict[str, Any]:
    if value:
        found[key] = value[0]
    else:
        found.pop(key, None)
    return found


def _merged(*maps: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for one in maps:
        for key, value in one.items():
            if isinstance(out.get(key), dict) and isinstance(value, Mapping):
                out[key] = _merged(out[key], value)
            elif not is_true(out.get(key)):
                out[key] = value
    return out


def _split(separator: str, text: str, most: int = 0) -> dict[str, str]:
    parts = text.split(separator, most - 1) if most > 0 else text.split(separator)
    return {f"_{number}": part for number, part in enumerate(parts)}


def _pattern(text: str) -> Any:
    try:
        return compiled(text)
    except PatternError as error:
        raise FunctionError(str(error)) from None


def _semver_compare(wanted: str, version: str) -> bool:
    try:
        return Version.parse(version) in Range(wanted)
    except InvalidVersion as error:
        raise FunctionError(str(error)) from None


def _json(value: Any, indent: int | None = None) -> str:
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, separators=separators, indent=indent, sort_keys=True, ensure_ascii=False)


def _fail(message: str) -> NoReturn:
    raise FunctionError(message)


def _ternary(true: Any, false: Any, condition: Any) -> Any:
    return true if condition else false


def _divided(one: int, two: int) -> int:
    if two == 0:
        raise FunctionError("runtime error: integer divide by zero")
    return math.trunc(one / two)


def _unique(items: Iterable[Any]) -> list[Any]:
    out: list[Any] = []
    for item in items:
        if item not in out:
            out.append(item)
    return out


FUNCTIONS: dict[str, Callable[..., Any]] = {
    # texts
    "abbrev": lambda width, text: _abbrev(_int(width), text),
    "camelcase": lambda text: "".join(word.capitalize() for word in _words(text)),
    "cat": lambda *items: " ".join(shown(item) for item in items if item is not None),
    "contains": lambda part, text: part in text,
    "hasPrefix": lambda part, text: text.startswith(part),
    "hasSuffix": lambda part, text: text.endswith(part),
    "hello": lambda: "Hello!",
    "indent": lambda spaces, text: _indent(_int(spaces), text),
    "initials": lambda text: "".join(word[0] for word in text.split()),
    "join": lambda separator, items: limited(separator.join(_strings(items))),
    "kebabcase": lambda text: "-".join(_words(text)).lower(),
    "lower": lambda text: text.lower(),
    "nindent": lambda spaces, text: "\n" + _indent(_int(spaces), text),
    "nospace": lambda text: "".join(text.split()),
    "plural": lambda one, many, count: one if count == 1 else many,
    "quote": lambda *items: " ".join(quoted(shown(item)) for item in items if item is not None),
    "repeat": lambda count, text: limited(text * min(_int(count), 100_001)),
    "replace": lambda old, new, text: limited(text.replace(old, new)),
    "snakecase": lambda text: "_".join(_words(text)).lower(),
    "sortAlpha": lambda items: sorted(_strings(items)),
    "split": lambda separator, text: _split(separator, text),
    "splitList": lambda separator, text: text.split(separator) if separator else list(text),
    "splitn": lambda separator, most, text: _split(separator, text, _int(most)),
    "squote": lambda *items: " ".join(f"'{shown(item)}'" for item in items if item is not None),
    "substr": lambda start, end, text: text[max(start, 0) : end if end >= 0 else None] if start >= 0 else text[:end],
    "title": lambda text: re.sub(r"(?<![\w'])\w", lambda m: m.group().upper(), text),
    "toString": shown,
    "toStrings": _strings,
    "trim": lambda text: text.strip(),
    "trimAll": lambda letters, text: text.strip(letters),
    "trimPrefix": lambda part, text: text.removeprefix(part),
    "trimSuffix": lambda part, text: text.removesuffix(part),
    "trimall": lambda letters, text: text.strip(letters),
    "trunc": lambda length, text: text[:length] if length >= 0 else text[length:],
    "untitle": lambda text: re.sub(r"(?<![\w'])\w", lambda m: m.group().lower(), text),
    "upper": lambda text: text.upper(),
    "wrap": lambda width, text: "\n".join(_wrapped(_int(width), text)),
    # what is there
    "all": lambda *items: all(map(is_true, items)),
    "any": lambda *items: any(map(is_true, items)),
    "coalesce": lambda *items: next((item for item in items if is_true(item)), None),
    "default": _default,
    "empty": lambda value: not is_true(value),
    "fail": _fail,
    "kindIs": lambda kind, value: kind == _kind(value),
    "kindOf": lambda value: _kind(value),
    "ternary": _ternary,
    "typeIs": lambda name, value: name == type_name(value),
    "typeOf": type_name,
    # paths
    "base": lambda path: posixpath.basename(path.rstrip("/")) or ("/" if path else "."),
    "clean": lambda path: posixpath.normpath(path).replace("//", "/"),
    "dir": lambda path: posixpath.normpath(posixpath.dirname(path)).replace("//", "/"),
    "ext": lambda path: posixpath.splitext(path)[1],
    "isAbs": posixpath.isabs,
    # lists
    "append": lambda items, item: [*_list(items), item],
    "compact": lambda items: [item for item in _list(items) if is_true(item)],
    "concat": lambda *lists: [item for items in lists for item in _list(items)],
    "first": lambda items: next(iter(_list(items)), None),
    "has": lambda item, items: items is not None and item in _list(items),
    "initial": lambda items: _list(items)[:-1],
    "last": lambda items: next(reversed(_list(items)), None),
    "list": lambda *items: list(items),
    "prepend": lambda items, item: [item, *_list(items)],
    "push": lambda items, item: [*_list(items), item],
    "rest": lambda items: _list(items)[1:],
    "reverse": lambda items: _list(items)[::-1],
    "seq": lambda *bounds: " ".join(map(str, _sequence(*map(_int, bounds)))),
    "slice": lambda items, *bounds: _sliced(items, *map(_int, bounds)),
    "tuple": lambda *items: list(items),
    "uniq": lambda items: _unique(_list(items)),
    "until": lambda count: _range(0, _int(count), 1 if _int(count) >= 0 else -1),
    "untilStep": lambda start, stop, step: _range(_int(start), _int(stop), _int(step)),
    "without": lambda items, *gone: [item for item in _list(items) if item not in gone],
    # maps
    "dict": _dict,
    "dig": lambda *path: _dug(path[:-2], path[-2], path[-1]),
    "get": lambda found, key: found.get(key, ""),
    "hasKey": lambda found, key: key in found,
    "keys": lambda *maps: [key for one in maps for key in ordered(one)],
    "merge": _merged,
    "omit": lambda found, *keys: {key: value for key, value in found.items() if key not in keys},
    "pick": lambda found, *keys: {key: found[key] for key in keys if key in found},
    "pluck": lambda key, *maps: [one[key] for one in maps if key in one],
    "set": lambda found, key, value: _changed(found, key, value),
    "unset": lambda found, key: _changed(found, key),
    "values": lambda found: [found[key] for key in ordered(found)],
    # numbers
    "add": lambda *items: sum(map(_int, items)),
    "atoi": lambda text: _int(text),
    "add1f": lambda value: _float(value) + 1,
    "add1": lambda value: _int(value) + 1,
    "addf": lambda *items: sum(map(_float, items)),
    "biggest": lambda *items: max(map(_int, items)),
    "ceil": lambda value: float(math.ceil(_float(value))),
    "div": lambda one, two: _divided(_int(one), _int(two)),
    "divf": lambda *items: reduce(truediv, map(_float, items)),
    "float64": _float,
    "floor": lambda value: float(math.floor(_float(value))),
    "int": _int,
    "int64": _int,
    "max": lambda *items: max(map(_int, items)),
    "maxf": lambda *items: max(map(_float, items)),
    "minf": lambda *items: min(map(_float, items)),
    "mulf": lambda *items: math.prod(map(_float, items)),
    "subf": lambda *items: reduce(sub, map(_float, items)),
    "swapcase": lambda text: text.swapcase(),
    "min": lambda *items: min(map(_int, items)),
    "mod": lambda one, two: int(math.fmod(_int(one), _int(two))),
    "mul": lambda *items: math.prod(map(_int, items)),
    "round": lambda value, digits=0: float(f"{_float(value):.{_int(digits)}f}"),
    "sub": lambda one, two: _int(one) - _int(two),
    # encodings
    "adler32sum": lambda text: str(zlib.adler32(text.encode())),
    "b64dec": lambda text: base64.b64decode(text, validate=True).decode("utf-8", "replace"),
    "b64enc": lambda text: base64.b64encode(text.encode()).decode(),
    "sha1sum": lambda text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "sha512sum": lambda text: hashlib.sha512(text.encode()).hexdigest(),
    "fromJson": lambda text: json.loads(text),
    "toJson": _json,
    "toPrettyJson": lambda value: _json(value, 2),
    "toRawJson": _json,
    # patterns and versions
    "regexFind": lambda pattern, text: next(iter(_pattern(pattern).found(text)), ""),
    "regexFindAll": lambda pattern, text, most: _pattern(pattern).found(text)[: most if most >= 0 else None],
    "regexMatch": lambda pattern, text: _pattern(pattern).matches(text),
    "regexReplaceAll": lambda pattern, text, new: limited(_pattern(pattern).replaced(text, new)),
    "regexReplaceAllLiteral": lambda pattern, text, new: limited(_pattern(pattern).replaced(text, new, literal=True)),
    "semverCompare": _semver_compare,
}


def _wrapped(width: int, text: str) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def _kind(value: Any) -> str:
    kinds = ((bool, "bool"), (int, "int"), (float, "float64"), (str, "string"), (Mapping, "map"))
    if isinstance(value, Struct):
        return "struct"
    return next((name for kind, name in kinds if isinstance(value, kind)), "slice" if value is not None else "invalid")


def _sequence(*bounds: int) -> list[int]:
    if len(bounds) == 1:
        stop = bounds[0]
        return _range(1, stop + (1 if stop >= 1 else -1), 1 if stop >= 1 else -1)
    start, stop = bounds[0], bounds[-1]
    step = bounds[1] if len(bounds) == 3 else (1 if stop >= start else -1)
    return _range(start, stop + (1 if step > 0 else -1), step)


def _sliced(items: Any, start: int = 0, end: int | None = None) -> list[Any]:
    if not isinstance(items, (list, tuple)):
        raise FunctionError(f"list should be type of slice or array but {_kind(items)}")
    found = list(items)
    if not 0 <= start <= (len(found) if end is None else end) <= len(found):
        raise FunctionError("runtime error: slice bounds out of range")
    return found[start:end]


def _dug(path: tuple[str, ...], default: Any, found: Any) -> Any:
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return default
        found = found[key]
    return found


def _refused(name: str) -> Callable[..., Any]:
    def refuse(*_: Any) -> NoReturn:
        raise FunctionError(f"NotSupportedInSandbox: sprig's function {name}")

    return refuse


# sprig's hermetic functions that are not among those above
REFUSED = [
    "ago",
    "b32dec",
    "b32enc",
    "bcrypt",
    "buildCustomCert",
    "chunk",
    "cloneMap",
    "decryptAES",
    "deepCopy",
    "deepEqual",
    "derivePassword",
    "duration",
    "durationRound",
    "encryptAES",
    "genCA",
    "genCAWithKey",
    "genPrivateKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "htpasswd",
    "mergeOverwrite",
    "mustChunk",
    "mustDateModify",
    "mustDeepCopy",
    "mustMergeOverwrite",
    "mustRegexSplit",
    "mustToDate",
    "must_date_modify",
    "osBase",
    "osClean",
    "osDir",
    "osExt",
    "osIsAbs",
    "regexQuoteMeta",
    "regexSplit",
    "semver",
    "shuffle",
    "toDate",
    "toDecimal",
    "typeIsLike",
    "unixEpoch",
    "urlJoin",
    "urlParse",
    "wrapWith",
]
FUNCTIONS |= {
    f"must{name[0].upper()}{name[1:]}": FUNCTIONS[name]
    for name in (
        *("append", "compact", "first", "fromJson", "has", "initial", "last", "merge", "prepend", "push"),
        *("regexFind", "regexFindAll", "regexMatch", "regexReplaceAll", "regexReplaceAllLiteral", "rest", "reverse"),
        *("slice", "toJson", "toPrettyJson", "toRawJson", "uniq", "without"),
    )
}
FUNCTIONS |= {name: _refused(name) for name in REFUSED}
