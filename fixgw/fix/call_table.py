"""Leads calls within QuickFIX's library to functions of ours, by the table (GOT) through which it calls its own exported
functions: for what it does in a way that cannot be set, or cannot be lived with."""

from __future__ import annotations

import atexit
import ctypes
import logging
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import quickfix as fix
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

log = logging.getLogger("fixgw.fix.acceptor")

_libc: Final = ctypes.CDLL(None, use_errno=True)


def address_of(symbol: str) -> int:
    """Where the library's own function lies. Raises AttributeError for one that it does not export, OSError."""
    library = ctypes.CDLL(str(fix._quickfix.__file__))
    return ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value or 0


def lead(calls: Mapping[str, Any], otherwise: str) -> bool:
    """The library's calls of each symbol go to its ctypes callback (which must live on) until the interpreter ends. False, and a
    warning that says what is so `otherwise`: the library is built in another way than is known here."""
    try:
        if all(_redirect(symbol, target) for symbol, target in calls.items()):
            return True
    except (OSError, ValueError, AttributeError) as error:
        log.warning("QuickFIX's calls of %s: %s: %s", ", ".join(calls), type(error).__name__, error)
    log.warning("%s", otherwise)
    return False


def _redirect(symbol: str, target: Any) -> bool:
    """False when the library does not call it by its table. Raises OSError, ValueError, AttributeError."""
    slots = list(_slots(Path(fix._quickfix.__file__), symbol, address_of(symbol)))
    for slot in slots:
        _writable(slot)
        # what is still to be called when the interpreter has ended must not call into it
        atexit.register(_write, slot, ctypes.c_void_p.from_address(slot).value)
        _write(slot, ctypes.cast(target, ctypes.c_void_p).value)
    return bool(slots)


def _write(slot: int, address: int | None) -> None:
    ctypes.c_void_p.from_address(slot).value = address


def _slots(path: Path, symbol: str, address: int) -> Iterator[int]:
    """Where the library keeps the address of `symbol`, which lies at `address`, for its calls."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        for section in elf.iter_sections():
            if not isinstance(section, RelocationSection):
                continue
            symbols = elf.get_section(section["sh_link"])
            if not isinstance(symbols, SymbolTableSection):
                continue
            for relocation in section.iter_relocations():
                found = symbols.get_symbol(relocation["r_info_sym"])
                if found is not None and found.name == symbol:
                    yield address - found["st_value"] + relocation["r_offset"]


def _writable(slot: int) -> None:
    """Raises OSError. Loaded with immediate binding the table is read-only."""
    page = slot & -mmap.PAGESIZE
    if _libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ | mmap.PROT_WRITE):
        raise OSError(ctypes.get_errno(), "mprotect of QuickFIX's call table")
