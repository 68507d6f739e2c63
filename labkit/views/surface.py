"""Where output goes: a notebook with a front end, or plain text."""

from __future__ import annotations

import os
import sys
from html import escape
from typing import Any

STYLE = (
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:14px;line-height:1.45;"
    "color:var(--jp-ui-font-color1,#1f1f1f)"
)
AS_IT_IS = 'class="mathjax_ignore tex2jax_ignore"'
"""On the outermost element of HTML: what is between two dollars there, as in a pattern, is no formula."""
BORDER = "var(--jp-border-color1,#767676)"


def headless() -> bool:
    """True where nobody looks: no Jupyter kernel, or a run that says so (LABKIT_HEADLESS=1)."""
    if os.environ.get("LABKIT_HEADLESS", "") not in ("", "0"):
        return True
    # IPython is loaded in every kernel, and importing it elsewhere only to ask would be slow.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is None or getattr(shell, "kernel", None) is None


def _display() -> Any:
    """IPython's display, which has no types."""
    from IPython.display import display

    return display


def show(html: str, text: str) -> None:
    """Show `html` with `text` as its plain form; text alone when headless."""
    if headless():
        print(text)
        return
    _display()({"text/html": html, "text/plain": text}, raw=True)


def html_widget(html: str) -> Any:
    """An ipywidgets.HTML that announces its changes to a screen reader."""
    import ipywidgets

    return ipywidgets.HTML(value=html)


def show_widget(widget: Any) -> None:
    """Put a widget below the cell that runs."""
    _display()(widget)


def announced(html: str) -> str:
    """`html` in a region whose changes are read out, politely."""
    return f'<div role="status" aria-live="polite" style="{STYLE}">{html}</div>'


__all__ = ["AS_IT_IS", "BORDER", "STYLE", "announced", "escape", "headless", "html_widget", "show", "show_widget"]
