"""The order in which files of tests begin: the longest first, so that no process is left alone with one at the end."""

from __future__ import annotations

import pytest

LONG = ("tests/notebooks/test_lessons.py", "tests/fidelity/test_fidelity.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the tests of the long files to the front; the order is otherwise as it was."""
    items.sort(key=lambda item: next((i for i, name in enumerate(LONG) if item.nodeid.startswith(name)), len(LONG)))
