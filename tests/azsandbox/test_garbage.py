"""The garbage collector of a sandbox, in a process of its own: what it sets aside stays so."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc
from azsandbox import garbage

garbage.wait()
assert not gc.isenabled()
loaded = [[] for _ in range(1000)]
garbage.tune()
assert gc.isenabled()
first = gc.get_freeze_count()
assert first >= 1000
few = [[] for _ in range(100)]
gc.collect()
assert gc.get_freeze_count() == first, "few objects are not worth it"
facts = [[] for _ in range(first + garbage.LEAST)]
gc.collect()
second = gc.get_freeze_count()
assert second >= first + len(facts), "what has proved to last is set aside"


class Node:
    ended = 0

    def __init__(self):
        self.itself = self

    def __del__(self):
        Node.ended += 1


for _ in range(3):
    Node()
gc.collect()
assert Node.ended == 3, "garbage is still collected"
garbage.tune()
assert gc.callbacks.count(garbage._set_aside) == 1
"""


def test_what_lasts_is_set_aside_and_garbage_is_collected() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
