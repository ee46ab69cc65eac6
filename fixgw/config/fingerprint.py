"""The hash that names a configuration: `fixgw check` prints it, each change is journaled with it, `fixgw status` shows it.

It covers every value of every file, whether decisions depend on it (core/settings.py) or not: CompIDs, FIX versions,
endpoints, caps. It does not depend on the order of keys, on comments, or on the folder that the configuration is in, and no
credential goes into it: only where it stands. Replay reads the hash from the journal and never makes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel

from ..core.settings import CoreSettings
from .errors import is_secret

_CREDENTIAL_FILES = ("api_key_file", "secret_file", "password_file")


def settings_hash(core: CoreSettings, root: Path, files: Mapping[str, BaseModel]) -> str:
    """SHA-256 (hex). `files`: the models of all files by a name of theirs; `root`: the configuration's folder."""
    told = {name: _plain(_without_credentials(file.model_dump(), root)) for name, file in files.items()}
    # what has an order that means something (risk stages, an instrument's venues) stands in the core's settings
    content = {"core": msgspec.structs.replace(core, hash=""), "files": told}
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def _without_credentials(file: dict[str, Any], root: Path) -> dict[str, Any]:
    """Files of credentials as they are written, not behind the folder where the loader has put them; no credential in what is
    passed on to a connector."""
    for key in _CREDENTIAL_FILES:
        if file.get(key):
            file[key] = str(file[key]).removeprefix(f"{root}/")
    if "options" in file:
        file["options"] = _harmless(file["options"])
    return file


def _harmless(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _harmless(item) for key, item in value.items() if not is_secret(str(key))}
    return [_harmless(item) for item in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """A model's values with each list in an order of its own."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return sorted(map(_plain, value), key=lambda item: msgspec.json.encode(item, order="deterministic"))
    return value
