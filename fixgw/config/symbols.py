"""Client symbols -> instruments: the forms that every session may use, and its own aliases.

For BTC/USDT these are BTC/USDT, BTC-USDT, BTCUSDT and, where the session has usd_alias, BTC/USD, BTC-USD and BTCUSD.
A form that could mean two of the session's instruments means none (BTC-USD beside both BTC/USDT and BTC/USDC) unless
the session's [symbols] says which. An instrument's own name always means that instrument. Instruments that the session is
not entitled to are understood too, so that their refusal can say what it may trade; they make no form ambiguous.
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
    names = {table.symbol for table in tables}
    own = names if entitled is None else names & set(entitled)
    meanings: dict[str, set[str]] = {}
    for table in tables:
        for form in _forms(table.base, table.quote):
            meanings.setdefault(form, set()).add(table.symbol)
    if usd_alias:
        exact = set(meanings)
        for table in tables:
            for form in _forms(table.base, "USD") if table.quote in _USD_LIKE else ():
                if form not in exact:
                    meanings.setdefault(form, set()).add(table.symbol)
    found: dict[str, str] = {}
    for form, meant in meanings.items():
        likely = meant & own or meant
        if len(likely) == 1 and form not in names:
            found[form] = min(likely)
    found.update({name: name for name in names})
    found.update(aliases)
    return dict(sorted(found.items()))


def _forms(base: str, quote: str) -> tuple[str, str, str]:
    return f"{base}/{quote}", f"{base}-{quote}", f"{base}{quote}"
