"""`fixgw init DIR [--demo]`: writes a configuration that `fixgw check` passes and that a person can edit."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TextIO

from ..journal.errors import JournalError
from ..journal.identity import make_install_id
from . import templates
from .paths import DIRECTORY_MODE, Paths

_FILE_MODE = 0o600
# (SenderCompID, BeginString) of the example sessions
_TRADING = (("OMS42", "FIX.4.2"), ("OMS44", "FIX.4.4"), ("OMS50", "FIXT.1.1"))
_DROP_COPY = (("PB44", "FIX.4.4"),)


class InitError(Exception):
    """DIR cannot be initialised; nothing was overwritten."""


def init(directory: str | Path, *, demo: bool) -> list[Path]:
    """Create DIR with its configuration; returns the files written. Raises InitError.

    An existing file is never overwritten: if any of the files is there already, nothing is written at all. Where one cannot
    be written none is left, so that it can be tried again. The install id of an existing journal is kept.
    """
    paths = Paths(Path(directory).resolve())
    files = {paths.root / name: text for name, text in configuration(demo=demo).items()}
    if demo:
        for ending in ("key", "secret"):
            files[paths.root / "secrets" / f"sim.{ending}"] = f"{secrets.token_hex(24)}\n"
    there = [path for path in files if path.exists()]
    if there:
        listed = ", ".join(str(path.relative_to(paths.root)) for path in there)
        raise InitError(f"{paths.root}: {listed}: already there, expected a folder without a configuration")
    written: list[Path] = []
    try:
        paths.make_directories()
        if demo:
            (paths.root / "secrets").mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        for path, text in files.items():
            with _new(path) as file:
                written.append(path)
                file.write(text)
        make_install_id(paths.journal)
    except (OSError, JournalError) as error:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        if isinstance(error, JournalError):
            raise InitError(str(error)) from error
        place = error.filename or paths.root
        raise InitError(f"{place}: {error.strerror}, expected a folder that can be written") from error
    return written


def configuration(*, demo: bool) -> dict[str, str]:
    """file relative to DIR -> text."""
    venue = "sim" if demo else "binance"
    account = f"{venue}-main"
    names = {"venue": venue, "account": account}
    firm = templates.FIRM.format(
        **names,
        firm="Demo Firm" if demo else "Example Firm",
        listen_host="127.0.0.1",
        listen_port=0 if demo else 9878,
        firm_open_notional=50_000_000 if demo else 200_000,
        gross_btc=500 if demo else 5,
        gross_eth=5000 if demo else 50,
        firm_open_orders=50_000 if demo else 500,
        firm_rate=10_000 if demo else 40,
        firm_burst=10_000 if demo else 40,
    )
    files = {"fixgw.toml": firm + (templates.SIMULATOR.format(**names) if demo else "")}
    for name, text in session_files(demo=demo).items():
        files[f"sessions/{name}"] = text
    template = templates.SIM_VENUE if demo else templates.BINANCE_VENUE
    files[f"venues/{venue}.toml"] = template.format(**names)
    return files


def session_files(*, demo: bool) -> dict[str, str]:
    """NAME.toml -> text of the example sessions. The demo's limits are generous, the others are small on purpose."""
    venue = "sim" if demo else "binance"
    limits = {
        "qty_btc": "10" if demo else "0.1",
        "qty_eth": "100" if demo else "1",
        "notional": "1000000" if demo else "5000",
        "open_notional": "20000000" if demo else "20000",
        "gross_btc": "200" if demo else "1",
        "gross_eth": "2000" if demo else "10",
        "collar": "500" if demo else "100",
        "open_orders": 10_000 if demo else 50,
        "rate": 500 if demo else 20,
        "burst": 500 if demo else 20,
        "repeat": 500 if demo else 5,
    }
    files: dict[str, str] = {}
    for name, begin_string in _TRADING:
        files[f"{name}.toml"] = templates.TRADING_SESSION.format(
            name=name,
            begin_string=begin_string,
            appl_ver=_appl_ver(begin_string),
            venue=venue,
            account=f"{venue}-main",
            **limits,
        )
    for name, begin_string in _DROP_COPY:
        files[f"{name}.toml"] = templates.DROP_COPY_SESSION.format(
            name=name, begin_string=begin_string, appl_ver=_appl_ver(begin_string)
        )
    return files


def _appl_ver(begin_string: str) -> str:
    return '\nappl_ver = "FIX.5.0SP2"' if begin_string == "FIXT.1.1" else ""


def _new(path: Path) -> TextIO:
    """A new file for the owner only. Raises FileExistsError."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE), "w", encoding="utf-8")
