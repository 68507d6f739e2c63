"""JSON as Go reads it: duplicate keys are seen, numbers keep their text, and errors have encoding/json's words."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

MAX_DEPTH = 10_000  # levels, as encoding/json has it
_EASY_DEPTH = 200  # levels that Python's own parser goes down to in any case
_TOO_DEEP = "exceeded max depth"


class BadJson(ValueError):
    """The text is no JSON; the message is encoding/json's."""


class Repeated(dict[str, Any]):
    """An object in which a key occurs more than once. `earlier` has the values that the last one hides."""

    earlier: list[tuple[str, Any]]


class Decimal(float):
    """A number with a fraction or an exponent, and how it was written."""

    text: str


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = Repeated(found)
    last = {key: index for index, (key, _) in enumerate(pairs)}
    repeated.earlier = [(key, value) for index, (key, value) in enumerate(pairs) if last[key] != index]
    return repeated


def _decimal(text: str) -> float:
    number = Decimal(text)
    number.text = text
    return number


def _refuse(text: str) -> Any:
    raise ValueError(text)


_decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=_decimal, parse_constant=_refuse)


def parse(body: bytes) -> Any:
    """The value of a JSON text. Raises BadJson in the words of Go."""
    deep = body.count(b"[") + body.count(b"{") > _EASY_DEPTH and _is_deep(body)
    text = body.decode("utf-8", "replace")
    if "\\u" in text:
        text = _ESCAPE.sub(_whole, text)
    try:
        if not deep:
            return _decoder.decode(text)
    except (ValueError, RecursionError):
        pass
    _scan(body.decode("latin-1"))  # the scanner goes from byte to byte
    return _built(text)


def _is_deep(body: bytes) -> bool:
    try:
        orjson.dumps(orjson.loads(body))  # which goes about 250 levels deep
    except orjson.JSONDecodeError as error:
        return "recursion" in str(error).lower()
    except orjson.JSONEncodeError:
        return True
    return False


_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)", re.S
)


def _whole(found: re.Match[str]) -> str:
    """An escape as it is; half of a pair becomes the sign for what is no character."""
    text = found.group()
    return "\\ufffd" if len(text) == 6 and text[1] == "u" else text


_TOKEN = re.compile(r'[{}\[\],:]|"(?:[^"\\]|\\.)*"|[^\s{}\[\],:"]+', re.S)


def _built(text: str) -> Any:
    """The value of a text that is known to be JSON, however deep it is."""
    open_: list[tuple[str, list[Any]]] = [("", [])]  # brackets, and what is in them: keys and values in turn
    for part in _TOKEN.findall(text):
        if part in ("{", "["):
            open_.append((part, []))
        elif part in ("}", "]"):
            bracket, items = open_.pop()
            pairs = list(zip(items[::2], items[1::2], strict=True)) if bracket == "{" else []
            open_[-1][1].append(_pairs(pairs) if bracket == "{" else items)
        elif part not in (",", ":"):
            open_[-1][1].append(_decoder.decode(part))
    return open_[0][1][0]


def plain(value: Any) -> Any:
    """A parsed value in plain dicts and numbers; of repeated keys the last counts; 2.0 becomes 2, as Go writes it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return number(float(value))
    return value


def number(value: float) -> int | float:
    """A float as Go's encoder writes it: without a fraction where it has none."""
    value = float(value)
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def repeated_fields(value: Any, path: str = "") -> list[str]:
    """Errors of strict decoding for keys that occur twice, in the order of the text."""
    found: list[str] = []
    if isinstance(value, dict):
        if isinstance(value, Repeated):
            found += [f'duplicate field "{path}.{key}"'.replace('".', '"', 1) for key, _ in value.earlier]
        for key, item in value.items():
            found += repeated_fields(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += repeated_fields(item, f"{path}[{index}]")
    return found


def go_kind(value: Any) -> str:
    """What encoding/json calls a value in its errors."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, (int, float)):
        return "number"
    return "array" if isinstance(value, list) else "object"


def quote_character(character: str) -> str:
    """A character as encoding/json quotes it."""
    if character == "'":
        return r"'\''"
    if character == '"':
        return "'\"'"
    escapes = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\\": r"\\", "\x00": r"\x00"}
    if character in escapes:
        return f"'{escapes[character]}'"
    if not character.isprintable():
        code = ord(character)
        return f"'\\x{code:02x}'" if code < 0x80 else f"'\\u{code:04x}'"
    return f"'{character}'"


_SPACE = " \t\r\n"
_END = "unexpected end of JSON input"


def _scan(text: str) -> None:
    """Walks the text as encoding/json's scanner does and raises BadJson where that one stops."""
    stack: list[str] = []
    state = "value"
    index = 0
    length = len(text)
    while index < length:
        character = text[index]
        if character in _SPACE:
            index += 1
            continue
        if state in ("value", "value or ]"):
            if character == "]" and state == "value or ]":
                stack.pop()
                state = _after(stack)
                index += 1
            elif character in "{[":
                stack.append(character)
                if len(stack) > MAX_DEPTH:
                    raise _bad(character, _TOO_DEEP)
                state = "key or }" if character == "{" else "value or ]"
                index += 1
            else:
                index = _literal(text, index)
                state = _after(stack)
        elif state in ("key", "key or }"):
            if character == "}" and state == "key or }":
                stack.pop()
                state = _after(stack)
                index += 1
            elif character == '"':
                index = _string(text, index)
                state = "colon"
            else:
                raise _bad(character, "looking for beginning of object key string")
        elif state == "colon":
            if character != ":":
                raise _bad(character, "after object key")
            state, index = "value", index + 1
        elif state == "end":
            raise _bad(character, "after top-level value")
        else:
            opened = stack[-1]
            if character == ",":
                state = "key" if opened == "{" else "value"
            elif character == ("}" if opened == "{" else "]"):
                stack.pop()
                state = _after(stack)
            else:
                raise _bad(character, "after object key:value pair" if opened == "{" else "after array element")
            index += 1
    if state != "end":
        raise BadJson(_END)


def _after(stack: list[str]) -> str:
    return "next" if stack else "end"


def _bad(character: str, context: str) -> BadJson:
    return BadJson(f"invalid character {quote_character(character)} {context}")


def _literal(text: str, index: int) -> int:
    character = text[index]
    if character == '"':
        return _string(text, index)
    if character == "-" or character.isdecimal():
        return _number(text, index)
    for word in ("true", "false", "null"):
        if character == word[0]:
            for offset, expected in enumerate(word):
                found = text[index + offset : index + offset + 1] or " "  # Go ends a text with a space
                if found != expected:
                    raise _bad(found, f"in literal {word} (expecting '{expected}')")
            return index + len(word)
    raise _bad(character, "looking for beginning of value")


def _string(text: str, index: int) -> int:
    index += 1
    while index < len(text):
        character = text[index]
        if character == '"':
            return index + 1
        if character < " ":
            raise _bad(character, "in string literal")
        if character == "\\":
            index += 1
            if index >= len(text):
                raise _bad(" ", "in string escape code")
            if text[index] == "u":
                for digit in text[index + 1 : index + 5]:
                    if digit not in "0123456789abcdefABCDEF":
                        raise _bad(digit, "in \\u hexadecimal character escape")
                index += 4
            elif text[index] not in 'bfnrt\\/"':
                raise _bad(text[index], "in string escape code")
        index += 1
    raise BadJson(_END)


def _number(text: str, index: int) -> int:
    length = len(text)

    def digits(start: int, context: str) -> int:
        if start >= length:
            raise _bad(" ", context)
        if not text[start].isdecimal():
            raise _bad(text[start], context)
        while start < length and text[start].isdecimal():
            start += 1
        return start

    if text[index] == "-":
        index += 1
    if index < length and text[index] == "0":
        index += 1
    else:
        index = digits(index, "in numeric literal")
    if index < length and text[index] == ".":
        index = digits(index + 1, "after decimal point in numeric literal")
    if index < length and text[index] in "eE":
        index += 1
        if index < length and text[index] in "+-":
            index += 1
        index = digits(index, "in exponent of numeric literal")
    return index
