"""What a configuration needs of the machine it runs on: credentials, files, an address. load() looks at the files alone.

`fixgw run` refuses to start when anything is missing: a process that cannot work would be restarted for ever. For
`fixgw check`, which may be asked in another shell or on another machine, what only may fail is a note.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..venues.client_ids import listed
from ..venues.credentials import Reference, key_for, missing_credential, needed
from ..venues.settings import CredentialFault, VenueFileSettings
from .config import Config
from .errors import Problem, shown


@dataclass(frozen=True, slots=True)
class Findings:
    """`problems`: it cannot run. `here`: it cannot run in this environment, but may in another. `notes`: worth a line."""

    problems: list[Problem]
    here: list[Problem]
    notes: list[str]


def preflight(config: Config) -> Findings:
    """Looks at files, the environment and addresses; starts and writes nothing."""
    found = Findings([], [], [])
    for name, settings in sorted(config.venues.items()):
        file = f"venues/{name}.toml"
        for place in settings.references():
            _credential(config, file, settings, place, found)
        if settings.kind == "ccxt":
            _missing(file, settings, found)
        if settings.kind == "ccxt" and not listed(settings.exchange):
            text = "how it takes our order ids is not verified: orders leave only if the request shows the id"
            found.notes.append(f"{file}: {settings.exchange}: {text}")
    _address(config, found)
    found.problems.extend(_replay(config))
    return found


def _missing(file: str, settings: VenueFileSettings, found: Findings) -> None:
    """What ccxt requires of the exchange. Without any credential it may run, but cannot trade."""
    given, wanted = {place.name for place in settings.references()}, needed(settings.exchange)
    if given:
        for name in wanted:
            if name not in given:
                found.problems.append(Problem(file, key_for(name), "", missing_credential(settings.exchange, name)))
    elif not settings.options:
        keys = ", ".join(f"{name} by {key_for(name)}" for name in wanted)
        found.notes.append(f"{file}: no credentials ({settings.exchange} needs {keys}): the venue will refuse orders")


def _credential(config: Config, file: str, settings: VenueFileSettings, place: Reference, found: Findings) -> None:
    """One credential by its reference. The credential itself is read and forgotten, never told."""
    value = shown(_as_written(config.paths.venues, place.file)) if place.file else ""
    try:
        settings.read(place)
    except CredentialFault as fault:
        if place.env:
            unset = "expected an environment variable that is set for `fixgw run`: here it is unset or empty"
            found.here.append(Problem(file, place.key, shown(place.env), unset if fault.missing else fault.expected))
        else:
            found.problems.append(Problem(file, place.key, value, fault.expected))
        return
    if place.file:
        mode = stat.S_IMODE(Path(place.file).stat().st_mode)
        if mode & 0o077:
            found.notes.append(f"{file}: {place.key} = {value}: others may read it (mode {mode:04o}), expected 0600")


def _as_written(folder: Path, path: str) -> str:
    """load() has made it absolute; within the installation it stands relative to the venue's file."""
    inside = os.path.normpath(path).startswith(f"{folder.parent}{os.sep}")
    return os.path.relpath(path, folder) if inside else path


def _address(config: Config, found: Findings) -> None:
    """fix.listen_host must be an address, and one of this machine."""
    host = config.firm_file.fix.listen_host
    try:
        addresses = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        expected = f"expected an IP address or a host name that can be resolved: {getattr(error, 'strerror', None) or error}"
        found.problems.append(Problem("fixgw.toml", "fix.listen_host", shown(host), expected))
        return
    for family, kind, protocol, _, address in addresses:
        try:
            probe = socket.socket(family, kind, protocol)
        except OSError:
            continue  # a machine without IPv6: asyncio passes it over as well
        with probe:
            try:
                probe.bind(address)  # any port: the configured one is taken while the gateway runs
            except OSError as error:
                expected = f"expected an address of this machine ({address[0]}: {error.strerror})"
                found.here.append(Problem("fixgw.toml", "fix.listen_host", shown(host), expected))
                return


def _replay(config: Config) -> Iterator[Problem]:
    """The simulator's recording."""
    simulator = config.firm_file.simulator
    if simulator is None or not simulator.enabled or simulator.replay is None:
        return
    path = config.paths.root / simulator.replay
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        yield Problem("fixgw.toml", "simulator.replay", shown(simulator.replay), f"expected a file that can be read: {path}")
