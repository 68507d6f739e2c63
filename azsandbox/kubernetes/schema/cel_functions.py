"""The functions that Kubernetes adds to CEL. Source: k8s.io/apiserver, pkg/cel/library.

Values that CEL has no type for (quantities, URLs, addresses, authorizers) are maps with one key while an expression
runs; while one is checked they have the names of Kubernetes' types.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import itertools
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from azsandbox import patterns
from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.schema import cel_authorizer

_Q, _URL, _IP, _CIDR = "quantity", "url", "ip", "cidr"


def _quantity(text: str) -> dict[str, Any]:
    try:
        return {_Q: str(Quantity.parse(text))}
    except ValueError:
        raise ValueError(f"quantities must match the regular expression: {text}") from None


def _amount(value: Any) -> Quantity:
    return Quantity.parse(value[_Q] if isinstance(value, Mapping) else str(value))


def _parses(read: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return check


def _url(text: str) -> dict[str, Any]:
    parts = urllib.parse.urlsplit(text)
    if not parts.scheme and not text.startswith("/"):
        raise ValueError(f"URL parse error during conversion from string: {text}")
    return {_URL: text}


def _url_part(read: Callable[[urllib.parse.SplitResult], Any]) -> Callable[[Any], Any]:
    return lambda value: read(urllib.parse.urlsplit(value[_URL]))


def _ip(text: str) -> dict[str, Any]:
    return {_IP: str(ipaddress.ip_address(text))}


def _cidr(text: str) -> dict[str, Any]:
    return {_CIDR: str(ipaddress.ip_interface(text))}


def _network(value: Any) -> Any:
    return ipaddress.ip_interface(value[_CIDR]).network


def _address(value: Any) -> Any:
    return ipaddress.ip_address(value[_IP] if isinstance(value, Mapping) else value)


def _family(value: Any) -> int:
    return int(_network(value).version if _CIDR in value else _address(value).version)


def _contains_cidr(network: Any, other: Any) -> bool:
    inner = ipaddress.ip_interface(other[_CIDR] if isinstance(other, Mapping) else other).network
    outer = _network(network)
    return inner.version == outer.version and inner.subnet_of(outer)


def _find(text: str, pattern: str) -> str:
    return next(iter(patterns.compiled(pattern).found(text)), "")


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = patterns.compiled(pattern).found(text)
    return found if limit < 0 else found[:limit]


def _is_sorted(items: list[Any]) -> bool:
    return all(left <= right for left, right in itertools.pairwise(items))


def _total(items: list[Any]) -> Any:
    return sum(items, dt.timedelta()) if items and isinstance(items[0], dt.timedelta) else sum(items)


def _compare(left: Any, right: Any) -> int:
    one, two = _amount(left), _amount(right)
    return (one > two) - (one < two)


def _contains_all(items: list[Any], wanted: list[Any]) -> bool:
    return all(item in items for item in wanted)


def _equivalent(left: list[Any], right: list[Any]) -> bool:
    return _contains_all(left, right) and _contains_all(right, left)


def _intersects(left: list[Any], right: list[Any]) -> bool:
    return any(item in left for item in right)


def functions(cel: Any, typed: bool = False) -> list[Any]:
    """Declarations of the functions; `typed` for checking expressions: those cannot be run."""
    kinds = cel.Type
    text, flag, whole, real, anything = kinds.STRING, kinds.BOOL, kinds.INT, kinds.DOUBLE, kinds.DYN
    items, boxed, strings = kinds.List(kinds.DYN), kinds.Map(kinds.STRING, kinds.DYN), kinds.List(kinds.STRING)
    found: dict[str, list[Any]] = {}

    def add(
        name: str, result: Any, parameters: list[Any], implementation: Callable[..., Any], member: bool = True
    ) -> None:
        overloads = found.setdefault(name, [])
        label = f"k8s_{name}_{len(overloads)}"
        overloads.append(cel.Overload(label, result, parameters, member, implementation))

    def named(name: str) -> Any:
        return kinds.AbstractType(name, []) if typed else boxed

    amount, link, address, network = (
        named(name) for name in ("kubernetes.Quantity", "kubernetes.URL", "net.IP", "net.CIDR")
    )
    add("find", text, [text, text], _find)
    add("findAll", strings, [text, text], _find_all)
    add("findAll", strings, [text, text, whole], _find_all)
    add("isSorted", flag, [items], _is_sorted)
    numbers = (kinds.INT, kinds.UINT, kinds.DOUBLE, kinds.DURATION)
    for of in numbers if typed else (anything,):
        add("sum", of, [kinds.List(of)], _total)
    for of in (*numbers, kinds.BOOL, text, kinds.BYTES, kinds.TIMESTAMP) if typed else (anything,):
        add("min", of, [kinds.List(of)], min)
        add("max", of, [kinds.List(of)], max)
    add("sets.contains", flag, [items, items], _contains_all, member=False)
    add("sets.equivalent", flag, [items, items], _equivalent, member=False)
    add("sets.intersects", flag, [items, items], _intersects, member=False)

    add("quantity", amount, [text], _quantity, member=False)
    add("isQuantity", flag, [text], _parses(_quantity), member=False)
    add("isGreaterThan", flag, [amount, amount], lambda left, right: _compare(left, right) > 0)
    add("isLessThan", flag, [amount, amount], lambda left, right: _compare(left, right) < 0)
    add("compareTo", whole, [amount, amount], _compare)
    add("isInteger", flag, [amount], lambda value: _amount(value).is_whole)
    add("asInteger", whole, [amount], lambda value: _amount(value).value)
    add("asApproximateFloat", real, [amount], lambda value: _amount(value).nano / 1e9)
    add("sign", whole, [amount], lambda value: _compare(value, "0"))
    add("add", amount, [amount, amount], lambda left, right: {_Q: str(_amount(left) + _amount(right))})
    add("add", amount, [amount, whole], lambda left, right: {_Q: str(_amount(left) + Quantity.of(right))})
    add("sub", amount, [amount, amount], lambda left, right: {_Q: str(_amount(left) - _amount(right))})
    add("sub", amount, [amount, whole], lambda left, right: {_Q: str(_amount(left) - Quantity.of(right))})

    add("url", link, [text], _url, member=False)
    add("isURL", flag, [text], _parses(_url), member=False)
    add("getScheme", text, [link], _url_part(lambda parts: parts.scheme))
    add("getHost", text, [link], _url_part(lambda parts: parts.netloc.rpartition("@")[2]))
    add("getHostname", text, [link], _url_part(lambda parts: parts.hostname or ""))
    add("getPort", text, [link], _url_part(lambda parts: str(parts.port or "")))
    add("getEscapedPath", text, [link], _url_part(lambda parts: urllib.parse.quote(parts.path, safe="/%")))
    add("getQuery", kinds.Map(text, strings), [link], _url_part(lambda parts: urllib.parse.parse_qs(parts.query)))

    add("ip", address, [text], _ip, member=False)
    add("ip", address, [network], lambda value: {_IP: str(ipaddress.ip_interface(value[_CIDR]).ip)})
    add("isIP", flag, [text], _parses(_ip), member=False)
    add("family", whole, [address], _family)
    add("isLoopback", flag, [address], lambda value: _address(value).is_loopback)
    add("isUnspecified", flag, [address], lambda value: _address(value).is_unspecified)
    add("isGlobalUnicast", flag, [address], lambda value: _address(value).is_global)
    add("cidr", network, [text], _cidr, member=False)
    add("isCIDR", flag, [text], _parses(_cidr), member=False)
    add("containsIP", flag, [network, text], lambda network, item: _address(item) in _network(network))
    add("containsIP", flag, [network, address], lambda network, item: _address(item) in _network(network))
    add("containsCIDR", flag, [network, text], _contains_cidr)
    add("containsCIDR", flag, [network, network], _contains_cidr)
    add("prefixLength", whole, [network], lambda network: _network(network).prefixlen)
    add("masked", network, [network], lambda network: {_CIDR: str(_network(network))})
    cel_authorizer.declare(add, kinds, lambda name: named(f"kubernetes.authorization.{name}"))
    return [cel.FunctionDecl(name, overloads) for name, overloads in found.items()]
