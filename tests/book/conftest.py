"""The program that executes chapters, as a module."""

import importlib.util
from types import ModuleType

import pytest
from chapter_checks import NOTEBOOKS


@pytest.fixture(scope="session")
def execute() -> ModuleType:
    """notebooks/execute.py."""
    spec = importlib.util.spec_from_file_location("execute_chapters", NOTEBOOKS / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
