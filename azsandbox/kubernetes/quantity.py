"""Amounts of resources: `500m`, `1Gi`, `2e3`.

Rules of parsing, rounding and the canonical form: k8s.io/apimachinery, package api/resource.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache, total_ordering
from typing import Any, ClassVar

_PATTERN = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(|[eE][+-]?\d+|[numkMGTPE]|[KMGTPE]i)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_BY_EXPONENT = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BY_BITS = {bits: suffix for suffix, bits in _BINARY.items()}
_NANO = 10**9  # no amount is finer than this; what is finer is rounded up
_LIMIT = (2**63 - 1) * _NANO  # larger amounts are cut to this

DECIMAL, BINARY, EXPONENT = "DecimalSI", "BinarySI", "DecimalExponent"


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """An amount, exact to a billionth. `form` is how it is written."""

    nano: int
    form: str = DECIMAL

    ZERO: ClassVar[Quantity]

    @staticmethod
    def parse(value: Any) -> Quantity:
        """A quantity as JSON has it, a string or a number. Raises ValueError if it is none."""
        return _parse(value if isinstance(value, str) else repr(value))

    @staticmethod
    def of(amount: int, form: str = DECIMAL) -> Quantity:
        """A whole number."""
        return Quantity(amount * _NANO, form)

    @property
    def value(self) -> int:
        """The amount as a whole number, rounded up."""
        return -(-self.nano // _NANO)

    @property
    def milli(self) -> int:
        """The amount in thousandths, rounded up."""
        return -(-self.nano // 10**6)

    @property
    def is_whole(self) -> bool:
        return self.nano % _NANO == 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nano == other.nano

    def __hash__(self) -> int:
        return hash(self.nano)

    def __lt__(self, other: Quantity) -> bool:
        return self.nano < other.nano

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano + other.nano, self.form if self.nano else other.form)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano - other.nano, self.form if self.nano else other.form)

    def __str__(self) -> str:
        """The canonical form: no fraction, and the largest suffix that allows it."""
        if not self.nano:
            return "0"
        sign, amount = ("-", -self.nano) if self.nano < 0 else ("", self.nano)
        if self.form == BINARY and amount >= 1024 * _NANO and amount % _NANO == 0:
            return sign + _binary(amount // _NANO)
        exponent = -9
        while amount % 1000 == 0 and (exponent < 18 or self.form == EXPONENT):
            amount //= 1000
            exponent += 3
        if self.form == EXPONENT:
            return f"{sign}{amount}e{exponent}" if exponent else f"{sign}{amount}"
        return f"{sign}{amount}{_BY_EXPONENT[exponent]}"


def _binary(amount: int) -> str:
    bits = 0
    while amount % 1024 == 0 and bits < 60:
        amount //= 1024
        bits += 10
    return f"{amount}{_BY_BITS.get(bits, '')}"


@lru_cache(4096)
def _parse(text: str) -> Quantity:
    match = _PATTERN.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    sign, whole, fraction, suffix = match[1], match[2], match[3] or "", match[4]
    digits = int((whole + fraction) or "0")
    places = len(fraction)
    if suffix in _BINARY:
        form, numerator, denominator = BINARY, digits << _BINARY[suffix], 10**places
    else:
        form = DECIMAL if suffix in _DECIMAL else EXPONENT
        exponent = (_DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])) - places
        numerator, denominator = (digits * 10**exponent, 1) if exponent >= 0 else (digits, 10**-exponent)
    nano = min(-(-numerator * _NANO // denominator), _LIMIT)
    return Quantity(-nano if sign == "-" else nano, form)


Quantity.ZERO = Quantity(0)


def canonical(value: Any) -> str:
    """A quantity as the API server gives it back. Raises ValueError if it is none."""
    return str(Quantity.parse(value))
