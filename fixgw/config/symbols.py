"""Client symbols -> instruments: the forms that every session may use, and its own aliases.

For BTC/USDT these are BTC/USDT, BTC-USDT, BTCUSDT and, where the session has usd_alias, BTC/USD, BTC-USD and BTCUSD.
A form that could mean two of the session's instruments means none (BTC-USD beside both BTC/USDT and BTC/USDC) unless
the session's [symbols] says which; else no alias may be a name or form of another instrument of the firm (taken). Among
the instruments that the session may trade, one's own name or form is never another's usd_alias. The firm's other
instruments are understood too, so that their refusal can say what the session may trade, but only in forms that mean none
of its own: what the firm adds for others changes no symbol of this session.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from .models import InstrumentTable

# what OMSs mean when they write USD for a spot pair on a crypto venue
_USD_LIKE = ("USDT", "USDC")


def symbol_map(
    instruments: Iterable[InstrumentTable], aliases: Mapping[str, str], usd_alias: bool, entitled: Collection[str] | None = None
) -> dict[str, str]:
    """Client symbol -> instrument name. `entitled`: the names of the instruments that the session may trade, None: all."""
    tables = list(instruments)
    own = {table.symbol for table in tables if entitled is None or table.symbol in entitled}
    meanings = _meanings((table for table in tables if table.symbol not in own), usd_alias)
    # over those of the others, the ambiguous ones too: what could mean two of its own must not mean a third
    meanings.update(_meanings((table for table in tables if table.symbol in own), usd_alias))
    found = {form: min(meant) for form, meant in meanings.items() if len(meant) == 1}
    found.update(aliases)
    return dict(sorted(found.items()))


def taken(
    alias: str, symbol: str, instruments: Iterable[InstrumentTable], usd_alias: bool, entitled: Collection[str] | None
) -> str:
    """The other instrument of which `alias`, meant for `symbol`, is a name or a form, whatever its case; "" if there is none.
    Where a form could mean either, the session's alias says which; an alias that says what holds anyway is none too many."""
    tables, form = list(instruments), alias.upper()
    if symbol_map(tables, {}, usd_alias, entitled).get(form) == symbol:
        return ""
    own = [table for table in tables if entitled is None or table.symbol in entitled]
    meant = _meanings(tables, True).get(form, set()) | _meanings(own, True).get(form, set())
    return "" if symbol in meant else min(meant, default="")


def _meanings(instruments: Iterable[InstrumentTable], usd_alias: bool) -> dict[str, set[str]]:
    """Each form of these instruments with the names of all that it could mean."""
    tables = list(instruments)
    meanings: dict[str, set[str]] = {}
    for table in tables:
        for form in _forms(table.base, table.quote):
            meanings.setdefault(form, set()).add(table.symbol)
    exact = set(meanings)
    for table in tables if usd_alias else ():
        for form in _forms(table.base, "USD") if table.quote in _USD_LIKE else ():
            if form not in exact:
                meanings.setdefault(form, set()).add(table.symbol)
    meanings.update({table.symbol: {table.symbol} for table in tables})
    return meanings


def _forms(base: str, quote: str) -> tuple[str, str, str]:
    return f"{base}/{quote}", f"{base}-{quote}", f"{base}{quote}"
