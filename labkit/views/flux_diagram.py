"""Flux as a picture: sources on the left, what comes of them to the right, a line from each to each."""

from __future__ import annotations

from collections.abc import Sequence

from labkit.gitops.state import KINDS, Node, short
from labkit.views.diagram import Diagram
from labkit.views.surface import escape

BOX, HIGH, GAP, STEP, EDGE = 226, 58, 14, 264, 6
LONGEST = 30  # characters of a line in a box


def flow(roots: Sequence[Node]) -> Diagram:
    """A picture of the trees below `roots`, and the same said in words."""
    placed: list[tuple[Node, int, int]] = []
    lines: list[tuple[int, int, int, int]] = []
    row = 0
    for root in roots:
        row = _place(root, 0, row, placed, lines)
    title = "What Flux follows, and what comes of it"
    words = [_sentence(node) for node, _, _ in placed]
    description = f"{title}. " + (" ".join(words) if words else "There is nothing yet.")
    return Diagram(_svg(title, description, placed, lines, max(1, row)), description)


def _place(
    node: Node, column: int, row: int, placed: list[tuple[Node, int, int]], lines: list[tuple[int, int, int, int]]
) -> int:
    """Puts a node and what is Flux's own below it; returns the next free row."""
    placed.append((node, column, row))
    below = [child for child in node.below if child.kind in KINDS]
    following = row
    for child in below:
        lines.append((column, row, column + 1, following))
        following = _place(child, column + 1, following, placed, lines)
    return max(following, row + 1)


def _sentence(node: Node) -> str:
    parts = [node.state or "no state", f"at {short(node.revision)}" if node.revision else ""]
    parts += [_kept(node), f"then {', '.join(n.name for n in node.below if n.kind in KINDS)}"]
    return f"{node.title}: {', '.join(part for part in parts if part and part != 'then ')}."


def _kept(node: Node) -> str:
    """How many objects it keeps that are not Flux's own; empty for none."""
    count = sum(child.kind not in KINDS for child in node.below)
    return f"{count} object{'' if count == 1 else 's'}" if count else ""


def _svg(
    title: str,
    description: str,
    placed: Sequence[tuple[Node, int, int]],
    lines: Sequence[tuple[int, int, int, int]],
    rows: int,
) -> str:
    columns = max((column for _, column, _ in placed), default=0) + 1
    width, height = columns * STEP, rows * (HIGH + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t d" viewBox="0 0 {width} {height}" '
        f'style="max-width:100%;width:{width}px;height:auto" font-family="system-ui,sans-serif" font-size="12">',
        f'<title id="t">{escape(title)}</title><desc id="d">{escape(description)}</desc>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    parts += [_line(*line) for line in lines]
    parts += [_box(*place) for place in placed]
    return "".join(parts) + "</svg>"


def _line(column: int, row: int, to_column: int, to_row: int) -> str:
    x, y = column * STEP + EDGE + BOX, _top(row) + HIGH // 2
    to_x, to_y = to_column * STEP + EDGE, _top(to_row) + HIGH // 2
    middle = (x + to_x) // 2
    return f'<path d="M{x} {y}H{middle}V{to_y}H{to_x}" fill="none" stroke="#5b6472"/>'


def _top(row: int) -> int:
    return GAP + row * (HIGH + GAP)


def _box(node: Node, column: int, row: int) -> str:
    x, y = column * STEP + EDGE, _top(row)
    well = node.state in ("Ready", "static")
    fill, dash = ("#eef6ea", "") if well else ("#fdf1e3", ' stroke-dasharray="5 3"')
    state = ", ".join(part for part in (node.state, _kept(node)) if part)
    texts = [(node.title.partition(" ")[0] + " " + node.name, 600), (state, 400), (short(node.revision), 400)]
    shown = "".join(
        f'<text x="{x + 8}" y="{y + 17 + index * 16}" fill="#1f1f1f" font-weight="{weight}">{escape(_cut(text))}</text>'
        for index, (text, weight) in enumerate(texts)
        if text
    )
    return f'<rect x="{x}" y="{y}" width="{BOX}" height="{HIGH}" rx="6" fill="{fill}" stroke="#5b6472"{dash}/>{shown}'


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
