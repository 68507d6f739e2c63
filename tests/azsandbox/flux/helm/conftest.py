from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.azsandbox.flux.helm.releasing import Lab


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    found = Lab(tmp_path)
    await found.start()
    yield found
    await found.cluster.stop()
