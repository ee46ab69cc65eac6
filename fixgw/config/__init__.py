"""Configuration: DIR/fixgw.toml, DIR/sessions/*.toml and DIR/venues/*.toml as frozen, cross-checked models."""

from __future__ import annotations

from .config import Config
from .errors import ConfigErrors, Problem
from .load import load
from .paths import Paths

__all__ = ["Config", "ConfigErrors", "Paths", "Problem", "load"]
