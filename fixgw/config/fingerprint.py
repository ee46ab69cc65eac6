"""The hash that names a configuration: `fixgw check` prints it, each change is journaled with it, `fixgw status` shows it.

It covers every value of every file, whether decisions depend on it (core/settings.py) or not: CompIDs, FIX versions,
endpoints, caps. The order of lists counts too. It does not depend on the order of keys, on comments, or on the folder that the
configuration is in.

No credential goes into it: it is shown, and whoever knows the rest of the files could try short ones until the hash fits,
which no digest of a value prevents. So of credentials only the place counts (the file's name, the environment variable's), and
of a venue's [options] these values are left out, while it counts that they are there:
  - a text or number under a name that holds one of errors.is_secret's words (private, token, secret, ...) or that is a
    credential's by venues/option_credentials.py, and each text or number in a table or list under such a name; flags count,
  - a text with a user or password in a URL (https://user:password@host).
A change of just such a value leaves the hash as it is. Replay reads the hash from the journal and never makes it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel

from ..core.settings import CoreSettings
from ..venues.credentials import FILE_KEYS, TABLE, without_folder
from ..venues.option_credentials import is_credential
from .errors import is_secret

_USER_IN_URL = re.compile(r"//[^/\s]*@")
_LEFT_OUT = {"": "left out"}


def settings_hash(core: CoreSettings, root: Path, files: Mapping[str, BaseModel]) -> str:
    """SHA-256 (hex). `files`: the models of all files by a name of theirs; `root`: the configuration's folder."""
    told = {name: _plain(_without_credentials(file.model_dump(), root)) for name, file in files.items()}
    content = {"core": msgspec.structs.replace(core, hash=""), "files": told}
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def _without_credentials(file: dict[str, Any], root: Path) -> dict[str, Any]:
    """Files of credentials as they are written, not behind the folder where the loader has put them; no credential in what is
    passed on to a connector."""
    for key in FILE_KEYS:
        if file.get(key):
            file[key] = str(file[key]).removeprefix(f"{root}/")
    if file.get(TABLE):
        file[TABLE] = without_folder(file[TABLE], root)
    if "options" in file:
        file["options"] = _harmless(file["options"])
    return file


def _harmless(value: Any, secret: bool = False) -> Any:
    """`secret`: it stands under a name that may be a credential's."""
    if isinstance(value, dict):
        return {str(key): _harmless(item, secret or _may_be_secret(str(key))) for key, item in value.items()}
    if isinstance(value, list):
        return [_harmless(item, secret) for item in value]
    if isinstance(value, bool) or value == "":
        return value
    return _LEFT_OUT if secret or (isinstance(value, str) and _USER_IN_URL.search(value)) else value


def _may_be_secret(key: str) -> bool:
    return is_secret(key) or is_credential(key)


def _plain(value: Any) -> Any:
    """A model's values as JSON has them: what it would write alike (inf and nan, a date and a text) is told apart."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(_plain, value), key=lambda item: msgspec.json.encode(item, order="deterministic"))
    if value is None or isinstance(value, str | bool | int | Decimal) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return {type(value).__name__: str(value)}
