"""venues/*.toml against the connectors and exchanges that exist, without importing any of them: ccxt takes a second."""

from __future__ import annotations

import difflib
import functools
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..venues.base import kinds
from ..venues.client_ids import refusal
from ..venues.settings import VenueFileSettings
from .errors import Problem, shown

# what a connector's kind means to who writes the file
_ABOUT = {
    "ccxt": " (an exchange by ccxt; which one stands in the key exchange)",
    "null": " (no exchange: confirms each order and fills none, to measure)",
}
# where ccxt keeps one module per exchange; the connector takes either
_CCXT_FOLDERS = ("async_support", "pro")


def venue_problems(venues: list[tuple[str, VenueFileSettings]]) -> Iterator[Problem]:
    """Names that nothing is known by. `venues`: (file relative to DIR, model)."""
    for file, settings in venues:
        if settings.kind not in known_kinds():
            listed = ", ".join(f'"{kind}"{_ABOUT.get(kind, "")}' for kind in sorted(known_kinds()))
            yield Problem(file, "kind", shown(settings.kind), f"expected the kind of connector, one of {listed}")
        elif settings.kind == "ccxt" and exchange_ids() and settings.exchange not in exchange_ids():
            yield Problem(file, "exchange", shown(settings.exchange), f"expected {_near(settings.exchange, exchange_ids())}")
        elif settings.kind == "ccxt" and refusal(settings.exchange):
            expected = f"expected an exchange whose orders can be found by our id: {refusal(settings.exchange)}"
            yield Problem(file, "exchange", shown(settings.exchange), expected)


@functools.cache
def known_kinds() -> frozenset[str]:
    """The kinds of connectors, by listing the package."""
    return frozenset(kinds())


@functools.cache
def exchange_ids() -> frozenset[str]:
    """ccxt's exchanges: the names of its modules. Empty when ccxt is not installed."""
    spec = importlib.util.find_spec("ccxt")
    roots = spec.submodule_search_locations if spec is not None and spec.submodule_search_locations else ()
    files = (path for root in roots for name in _CCXT_FOLDERS for path in (Path(root) / name).glob("[a-z0-9]*.py"))
    return frozenset(path.stem for path in files)


def _near(word: str, known: Iterable[str]) -> str:
    """Over a hundred names are no help; the nearest are."""
    near = difflib.get_close_matches(word.lower(), sorted(known), n=3, cutoff=0.6)
    hint = f": did you mean {' or '.join(repr(name) for name in near)}?" if near else ", such as 'binance' or 'kraken'"
    return f"an exchange id of ccxt{hint}"
