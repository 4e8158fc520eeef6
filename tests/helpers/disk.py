"""Disks that are full: at the last moment, and on the way."""

import os
from contextlib import contextmanager

import pytest


@contextmanager
def disk_full_at_the_end(monkeypatch):
    def no_space(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        yield


@contextmanager
def disk_full_on_the_way(_):
    """No file may grow beyond 4 KiB, by order of the operating system."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


FULL_DISKS = [disk_full_at_the_end, disk_full_on_the_way]
