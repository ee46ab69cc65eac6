"""DIR -> Config: read every file, collect every problem, then cross-check. The one door to the configuration."""

from __future__ import annotations

import difflib
import os
import typing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..textfile import FileFault, read_toml
from ..venues.credentials import behind
from ..venues.settings import KeyFault, VenueFileSettings, may_hold_secret, misplaced_name
from .config import Config
from .crosscheck import cross_check
from .errors import ConfigErrors, Problem, is_secret, shown, shown_of_unknown
from .models import FirmFile, SessionFile
from .paths import Paths

_MAX_FILES = 10_000
_M = TypeVar("_M", bound=BaseModel)


def load(directory: str | Path) -> Config:
    """Read, validate and cross-check the configuration of DIR. Raises ConfigErrors with ALL problems found."""
    paths = Paths(Path(directory).resolve())
    problems: list[Problem] = []
    firm = _read_file(paths.firm_file, paths.root, FirmFile, problems)
    sessions = _read_folder(paths.sessions, paths.root, SessionFile, problems)
    if not sessions and not problems:
        expected = "expected a file NAME.toml for each session: without any nobody can log on"
        problems.append(Problem("sessions", "", "", expected))
    venues = _read_folder(paths.venues, paths.root, VenueFileSettings, problems)
    config = None
    if firm is not None:
        config = Config(
            paths=paths,
            firm_file=firm,
            sessions={session.name: session for _, session in sessions},
            venues={venue.name: venue for _, venue in venues},
        )
        # A file that could not be read must not make every name in it look unknown as well.
        broken = {Path(problem.file).parts[0] for problem in problems}
        problems += cross_check(config, sessions, venues, broken)
    if problems or config is None:
        raise ConfigErrors(sorted(problems, key=lambda problem: (problem.file != "fixgw.toml", problem.file)))
    return config


def _read_folder(folder: Path, root: Path, model: type[_M], problems: list[Problem]) -> list[tuple[str, _M]]:
    """(file relative to DIR, model) of every readable *.toml of a folder, in order of name."""
    found: list[tuple[str, _M]] = []
    try:
        paths = sorted(folder / name for name in os.listdir(folder) if name.endswith(".toml"))
    except FileNotFoundError:
        return found
    except OSError as error:
        problems.append(Problem(folder.name, "", "", f"a folder that can be read: {error.strerror}"))
        return found
    if len(paths) > _MAX_FILES:
        problems.append(Problem(folder.name, "", "", f"at most {_MAX_FILES} files, found {len(paths)}"))
        paths = paths[:_MAX_FILES]
    for path in paths:
        read = _read_file(path, root, model, problems)
        if read is not None:
            found.append((str(path.relative_to(root)), read))
    return found


def _read_file(path: Path, root: Path, model: type[_M], problems: list[Problem]) -> _M | None:
    """One file as its model, or None with what is wrong added to `problems`."""
    name = str(path.relative_to(root))
    try:
        content = read_toml(path)
    except FileFault as fault:
        missing = f"{root}: a folder made by `fixgw init DIR`; this file is missing"
        problems.append(Problem(name, "", "", missing if fault.missing and model is FirmFile else str(fault)))
        return None
    if model is VenueFileSettings:
        _prepare_venue(path, content)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems.extend(_problem(name, content, model, detail) for detail in error.errors(include_url=False))
        return None


def _prepare_venue(path: Path, content: dict[str, Any]) -> None:
    """What a venue file's own loader does: the name by the file's, credential files relative to the file."""
    content.setdefault("name", path.stem)
    behind(path.parent, content)


def _problem(file: str, content: dict[str, Any], model: type[BaseModel], detail: Any) -> Problem:
    """One pydantic error in the words of the file."""
    location = _in_file(content, detail["loc"])
    kind, fault = detail["type"], detail.get("ctx", {}).get("error")
    found = detail["input"]
    if isinstance(fault, KeyFault) and not location:
        location, found = [fault.key], content.get(fault.key)
    key = ".".join(str(part) for part in location)
    # a password may stand in a URL, and anything in what is passed on to a connector
    hidden = is_secret(key) or (model is VenueFileSettings and may_hold_secret(key, found))
    value = "" if hidden or kind == "missing" or found is None else shown(found)
    if kind == "missing":
        expected = "this key is required"
    elif kind == "extra_forbidden":
        misplaced = misplaced_name(key) if model is VenueFileSettings else ""
        expected = f"unknown key, {misplaced}" if misplaced else _unknown_key(model, location)
        value = shown_of_unknown(key, found)
    elif kind == "value_error":
        # most say what was expected and no more
        expected = str(fault) if "expected" in str(fault) else f"expected {fault}"
    elif kind == "string_pattern_mismatch":
        expected = f"expected text of the form {detail['ctx']['pattern']}"
    else:
        message = str(detail["msg"])
        expected = message.replace("Input should be", "expected", 1)
        if isinstance(detail["input"], float) and "integer" in message:
            expected += " (a whole number)"
    return Problem(file, key, value, expected)


def _in_file(content: Any, loc: tuple[int | str, ...]) -> list[int | str]:
    """The part of pydantic's location that exists in the file (it adds names of union members and of validators)."""
    location: list[int | str] = []
    for number, part in enumerate(loc):
        if isinstance(content, dict):
            if part not in content and number < len(loc) - 1:
                continue
            location.append(part)
            content = content.get(part)
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            location.append(part)
            content = content[part]
    return location


def _unknown_key(model: type[BaseModel], location: list[int | str]) -> str:
    """'unknown key', with the nearest known one or the list of them."""
    current: type[BaseModel] | None = model
    for part in location[:-1]:
        if isinstance(part, int) or current is None:
            continue
        field = current.model_fields.get(part)
        current = None if field is None else _model_in(field.annotation)
    if current is None:
        return "unknown key"
    names = [field.alias or name for name, field in current.model_fields.items()]
    near = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.6)
    if near:
        return f"unknown key, did you mean {near[0]!r}?"
    return f"unknown key, expected one of {', '.join(names)}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model within Optional, tuple or Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in typing.get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
