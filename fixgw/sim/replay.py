"""Liquidity from a recording: lines of a receive time in ns, a space, and a Binance frame (gzip or plain).

The recorded snapshot and diffs are the displayed book, which incoming orders can take; the recorded trades fill
resting orders at or through their price, behind the house quantity that stood there before them. bookTicker frames
are passed over (the diffs say the same). Symbols that the recording does not hold get a static ladder.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from fixgw.sim.config import ConfigError
from fixgw.sim.core import Simulator
from fixgw.sim.liquidity import Static
from fixgw.sim.model import BUY, SELL, ZERO, Event

_FORM: Final = "a receive time in ns, a space and a Binance frame, as 1700000000123456789 {\"stream\":...,\"data\":{...}}"
# bytes of a line that is not understood
_SHOWN: Final = 60
_MAX_GAP_S = 10.0  # a longer silence in the recording is shortened


def frames(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(receive time in ns, message) for each line. Raises ConfigError naming file and line."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    number = 0
    try:
        with cast(BinaryIO, gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")) as file:
            for number, line in enumerate(file, 1):
                stamp, _, text = line.partition(b" ")
                try:
                    message = decode(text)
                    # another format has something else at its beginning: a header, a date, a float, a JSON object
                    is_frame = stamp.isdigit() and isinstance(message.get("data", {}), dict)
                except (ValueError, msgspec.DecodeError):
                    is_frame = False
                if not is_frame:
                    begin = f"{line[:_SHOWN]!r}{'...' if len(line) > _SHOWN else ''}"
                    raise ConfigError(f"recording {path}: line {number}: {begin}, expected {_FORM}")
                yield int(stamp), message
    except OSError as exc:
        raise ConfigError(f"recording {path}: {exc.strerror or exc}") from None
    except (EOFError, zlib.error) as exc:
        raise ConfigError(f"recording {path}: after line {number}: {exc}") from None


class Replay:
    """Plays one recording at a speed factor, once or over and over."""

    def __init__(self, sim: Simulator, path: Path, *, speed: float, loop: bool, seed: int) -> None:
        self._sim = sim
        self._path = path
        self._speed = speed
        self._loop = loop
        self.symbol = self._find_symbol()
        others = tuple(symbol for symbol in sim.engine.symbols if symbol != self.symbol)
        self._static = Static(sim, seed, others) if others else None
        self._frames: Iterator[tuple[int, dict[str, Any]]] = iter(())
        self._last_id = 0
        self.played = 0
        self.finished = False

    def _find_symbol(self) -> str:
        for _, message in frames(self._path):
            symbol = message.get("data", {}).get("s")
            if symbol is not None:
                if symbol not in self._sim.engine.symbols:
                    known = ", ".join(self._sim.engine.symbols)
                    raise ConfigError(f"recording {self._path}: symbol {symbol}: expected one of {known}")
                return str(symbol)
        raise ConfigError(f"recording {self._path}: no frame names a symbol")

    def start(self, at_ns: int) -> list[Event]:
        events = self._static.start(at_ns) if self._static else []
        return events + self._rewind(at_ns)

    def _rewind(self, at_ns: int) -> list[Event]:
        """Read on to the point where both sides of the book are known, and show it."""
        self._frames = frames(self._path)
        self._last_id = 0
        events: list[Event] = []
        for side in (BUY, SELL):
            self._sim.house.clear(self.symbol, side)
        waiting: list[dict[str, Any]] = []
        for number, (_, message) in enumerate(self._frames):
            data = message.get("data", message)
            if "lastUpdateId" in data:
                self._last_id = data["lastUpdateId"]
                events += self._levels(data["bids"], data["asks"], at_ns)
                for diff in waiting:
                    events += self._diff(diff, at_ns)
                return events
            if data.get("e") == "depthUpdate":
                waiting.append(data)
            if number >= 1000:  # a recording without a snapshot: the book builds up from its diffs
                break
        for diff in waiting:
            events += self._diff(diff, at_ns)
        sides = self._sim.engine.books[self.symbol].sides
        if not sides[BUY].keys or not sides[SELL].keys:
            raise ConfigError(f"recording {self._path}: no depth snapshot or diffs in the first 1000 lines")
        return events

    def _levels(self, bids: list[list[str]], asks: list[list[str]], at_ns: int) -> list[Event]:
        house, symbol = self._sim.house, self.symbol
        events: list[Event] = []
        rows = [(BUY, Decimal(p), Decimal(q)) for p, q in bids] + [(SELL, Decimal(p), Decimal(q)) for p, q in asks]
        rows.sort(key=lambda row: row[2] != ZERO)  # what goes, goes first: less to cross
        for side, price, qty in rows:
            events += house.set_level(symbol, side, price, qty, at_ns)
        return events

    def _diff(self, data: dict[str, Any], at_ns: int) -> list[Event]:
        if data["u"] <= self._last_id:
            return []
        self._last_id = data["u"]
        return self._levels(data["b"], data["a"], at_ns)

    def play(self, message: dict[str, Any], at_ns: int) -> list[Event]:
        """Apply one recorded frame."""
        data = message.get("data", message)
        self.played += 1
        if data.get("e") == "depthUpdate":
            return self._diff(data, at_ns)
        if data.get("e") == "trade":
            side = SELL if data["m"] else BUY
            return self._sim.house.tape_trade(self.symbol, side, Decimal(data["p"]), Decimal(data["q"]), at_ns)
        return []

    def after(self, symbol: str, at_ns: int) -> list[Event]:
        return self._static.after(symbol, at_ns) if self._static and symbol != self.symbol else []

    def set_mid(self, symbol: str, mid: Decimal, at_ns: int) -> list[Event]:
        """Move the static ladder of a symbol that the recording does not hold."""
        return self._static.set_mid(symbol, mid, at_ns) if self._static else []

    def has(self, symbol: str) -> bool:
        return self._static is not None and self._static.has(symbol)

    async def run(self) -> None:
        """Play until the end of the recording (or, looping, until cancelled)."""
        while True:
            await self._play_once()
            if not self._loop:
                self.finished = True
                await asyncio.Event().wait()
            now_ns = self._sim.clock_ns()
            self._sim.commit(self._rewind(now_ns), self.symbol, now_ns)

    async def _play_once(self) -> None:
        loop = asyncio.get_running_loop()
        begun, before, played_s = loop.time(), None, 0.0
        for number, (stamp, message) in enumerate(self._frames):
            played_s += min(max(stamp - (before or stamp), 0) / 1e9, _MAX_GAP_S) / self._speed
            before = stamp
            wait = begun + played_s - loop.time()
            if wait > 0.001:
                await asyncio.sleep(wait)
            elif number % 50 == 0:
                await asyncio.sleep(0)  # far behind, or very fast: let others run
            now_ns = self._sim.clock_ns()
            self._sim.commit(self.play(message, now_ns), self.symbol, now_ns)
