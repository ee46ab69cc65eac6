"""Packages with one module per message, found by listing them: a new message is a new file, and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from typing import Any


def by_message(package: str, key: str, function: str) -> dict[Any, Callable[..., Any]]:
    """What each module of the package calls `key` -> its `function`; modules without a `key` are helpers."""
    found: dict[Any, Callable[..., Any]] = {}
    for info in pkgutil.iter_modules(sys.modules[package].__path__):
        module = importlib.import_module(f"{package}.{info.name}")
        message = getattr(module, key, None)
        if message is not None:
            assert message not in found, f"{package}: two modules are of {message}"
            found[message] = getattr(module, function)
    return found
