"""Strings in messages, as Go quotes them."""

from __future__ import annotations

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f"}


def quoted(text: str) -> str:
    """A string as Go's %q writes it."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    out = []
    for letter in text:
        if letter in _ESCAPES:
            out.append(_ESCAPES[letter])
        elif letter == "\v":
            out.append("\\v")
        elif letter.isprintable():
            out.append(letter)
        elif ord(letter) < 0x80:
            out.append(f"\\x{ord(letter):02x}")
        elif ord(letter) < 0x10000:
            out.append(f"\\u{ord(letter):04x}")
        else:
            out.append(f"\\U{ord(letter):08x}")
    return '"' + "".join(out) + '"'
