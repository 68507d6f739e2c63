"""CEL: expressions compiled and run, with the functions that Kubernetes adds to the language.

The engine is loaded when the first expression is met. Functions: k8s.io/apiserver, pkg/cel/library.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import itertools
import re
import urllib.parse
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from azsandbox.kubernetes.quantity import Quantity


class CelError(Exception):
    """An expression that cannot be compiled, or that failed; the message is cel-go's as far as it is known."""


class Program:
    """A compiled expression."""

    def __init__(self, expression: Any, text: str) -> None:
        self._expression, self.text = expression, text

    def run(self, variables: Mapping[str, Any]) -> Any:
        """The value of the expression. Raises CelError."""
        from cel_expr_python import cel

        try:
            result = self._expression.eval(data=dict(variables))
        except RuntimeError as error:
            raise CelError(_words(str(error))) from None
        if result.type() == cel.Type.ERROR:
            raise CelError(_words(str(result.value())))
        return result.plain_value()


@lru_cache(maxsize=2048)
def compiled(text: str, variables: tuple[str, ...]) -> Program:
    """An expression over variables of any type. Raises CelError with the compiler's words."""
    try:
        return Program(_environment(variables).compile(text), text)
    except RuntimeError as error:
        raise CelError(_compile_words(str(error))) from None


def _compile_words(message: str) -> str:
    return re.sub(r"^[A-Z_]+: ", "", message).removesuffix(" [INVALID_ARGUMENT]")


def _words(message: str) -> str:
    """The C++ engine's error in the words of cel-go."""
    text = re.sub(r"^[A-Z_]+: ", "", message)
    if text == "divide by zero":
        return "division by zero"
    if text.startswith("modulus by zero"):
        return "modulus by zero"
    found = re.fullmatch(r'Key not found in map : "?(.*?)"?', text)
    if found:
        return f"no such key: {found.group(1)}"
    if text.startswith("No matching overloads found"):
        return "no such overload"
    found = re.search(r"index out of bounds.*?(-?\d+)", text)
    return f"index out of bounds: {found.group(1)}" if found else text


@cache
def _environment(variables: tuple[str, ...]) -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings

    extensions = [
        ext_strings.ExtStrings(),
        ext_optional.ExtOptional(),
        ext_math.ExtMath(),
        ext_bindings.ExtBindings(),
        ext_encoders.ExtEncoders(),
    ]
    declared = dict.fromkeys(variables, cel.Type.DYN)
    return cel.NewEnv(variables=declared, extensions=extensions, functions=_functions(cel))


# --- Kubernetes' own functions. Values that CEL has no type for (quantities, URLs, addresses) are maps with one key.

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
    found = re.search(pattern, text)
    return found.group() if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [item.group() for item in re.finditer(pattern, text)]
    return found if limit < 0 else found[:limit]


def _is_sorted(items: list[Any]) -> bool:
    return all(left <= right for left, right in itertools.pairwise(items))


def _total(items: list[Any]) -> Any:
    return sum(items, dt.timedelta()) if items and isinstance(items[0], dt.timedelta) else sum(items)


def _compare(left: Any, right: Any) -> int:
    one, two = _amount(left), _amount(right)
    return (one > two) - (one < two)


def _functions(cel: Any) -> list[Any]:
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

    add("find", text, [text, text], _find)
    add("findAll", strings, [text, text], _find_all)
    add("findAll", strings, [text, text, whole], _find_all)
    add("isSorted", flag, [items], _is_sorted)
    add("sum", anything, [items], _total)
    add("min", anything, [items], min)
    add("max", anything, [items], max)

    add("quantity", boxed, [text], _quantity, member=False)
    add("isQuantity", flag, [text], _parses(_quantity), member=False)
    add("isGreaterThan", flag, [boxed, boxed], lambda left, right: _compare(left, right) > 0)
    add("isLessThan", flag, [boxed, boxed], lambda left, right: _compare(left, right) < 0)
    add("compareTo", whole, [boxed, boxed], _compare)
    add("isInteger", flag, [boxed], lambda value: _amount(value).is_whole)
    add("asInteger", whole, [boxed], lambda value: _amount(value).value)
    add("asApproximateFloat", real, [boxed], lambda value: _amount(value).nano / 1e9)
    add("sign", whole, [boxed], lambda value: _compare(value, "0"))
    add("add", boxed, [boxed, boxed], lambda left, right: {_Q: str(_amount(left) + _amount(right))})
    add("add", boxed, [boxed, whole], lambda left, right: {_Q: str(_amount(left) + Quantity.of(right))})
    add("sub", boxed, [boxed, boxed], lambda left, right: {_Q: str(_amount(left) - _amount(right))})
    add("sub", boxed, [boxed, whole], lambda left, right: {_Q: str(_amount(left) - Quantity.of(right))})

    add("url", boxed, [text], _url, member=False)
    add("isURL", flag, [text], _parses(_url), member=False)
    add("getScheme", text, [boxed], _url_part(lambda parts: parts.scheme))
    add("getHost", text, [boxed], _url_part(lambda parts: parts.netloc.rpartition("@")[2]))
    add("getHostname", text, [boxed], _url_part(lambda parts: parts.hostname or ""))
    add("getPort", text, [boxed], _url_part(lambda parts: str(parts.port or "")))
    add("getEscapedPath", text, [boxed], _url_part(lambda parts: urllib.parse.quote(parts.path, safe="/%")))
    add("getQuery", kinds.Map(text, strings), [boxed], _url_part(lambda parts: urllib.parse.parse_qs(parts.query)))

    add("ip", boxed, [text], _ip, member=False)
    add("ip", boxed, [boxed], lambda value: {_IP: str(ipaddress.ip_interface(value[_CIDR]).ip)})
    add("isIP", flag, [text], _parses(_ip), member=False)
    add("family", whole, [boxed], _family)
    add("isLoopback", flag, [boxed], lambda value: _address(value).is_loopback)
    add("isUnspecified", flag, [boxed], lambda value: _address(value).is_unspecified)
    add("isGlobalUnicast", flag, [boxed], lambda value: _address(value).is_global)
    add("cidr", boxed, [text], _cidr, member=False)
    add("isCIDR", flag, [text], _parses(_cidr), member=False)
    add("containsIP", flag, [boxed, text], lambda network, item: _address(item) in _network(network))
    add("containsIP", flag, [boxed, boxed], lambda network, item: _address(item) in _network(network))
    add("containsCIDR", flag, [boxed, text], _contains_cidr)
    add("containsCIDR", flag, [boxed, boxed], _contains_cidr)
    add("prefixLength", whole, [boxed], lambda network: _network(network).prefixlen)
    add("masked", boxed, [boxed], lambda network: {_CIDR: str(_network(network))})
    return [cel.FunctionDecl(name, overloads) for name, overloads in found.items()]
