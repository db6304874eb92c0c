"""The allocator is asked to keep what is freed, where it can be asked."""

import ctypes
from types import SimpleNamespace

from mecsim.training import keep_freed_memory


def test_glibc_is_asked_for_both_thresholds(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=lambda *pair: asked.append(pair)))
    keep_freed_memory()
    assert asked == [(-3, 32 * 2**20), (-1, 2**30)]


def test_other_allocators_are_left_alone(monkeypatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    keep_freed_memory()
