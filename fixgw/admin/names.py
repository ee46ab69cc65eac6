"""Names that are asked for: a wrong one is told, so that "none" is never the answer to a typo."""

from __future__ import annotations

from ..config import Config
from ..engine import Engine
from .asked import Params, known


class Names:
    """Of sessions, accounts and instruments. Its methods raise AdminError (NOT_FOUND)."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self._config = config
        self._engine = engine

    def session_of(self, params: Params) -> str:
        name = str(params.get("session") or "")
        if name:
            self.known_session(name)
        return name

    def known_session(self, name: str) -> None:
        """Also one of the journal that is configured no more: it may still have orders, and reports that nobody has got."""
        if name not in self._config.sessions:
            with self._engine.reading() as state:
                among = {*self._config.sessions, *state.sessions}
            known("session", name, among)

    def is_configured(self, session: str) -> bool:
        return session in self._config.sessions

    def meant_by(self, symbol: str, session: str = "") -> frozenset[str]:
        """The instruments that `symbol` may mean: itself, or what sessions call so, first of all the one that is asked for;
        two sessions may mean two instruments by one name. Empty for ""."""
        settings = self._engine.state.settings
        if not symbol or symbol in settings.instruments:
            return frozenset((symbol,) if symbol else ())
        maps = {name: item.symbols[symbol] for name, item in settings.sessions.items() if symbol in item.symbols}
        called = {maps[session]} if session in maps else set(maps.values())
        # what is configured no more may still have orders
        return frozenset(called or {symbol})

    def known_account(self, name: str) -> None:
        """Asked when nothing was found, as for a symbol."""
        known("account", name, self._config.account_names())

    def known_symbol(self, symbol: str) -> None:
        """Asked when nothing was found: what is not configured any more may still have orders."""
        if symbol and self.meant_by(symbol) == {symbol}:
            known("symbol", symbol, self._config.instrument_names())
