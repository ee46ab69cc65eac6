"""What client symbols mean, and above all when they mean nothing."""

import pytest

from fixgw.config.models import InstrumentTable
from fixgw.config.symbols import symbol_map


def tables(*symbols: str) -> list[InstrumentTable]:
    return [
        InstrumentTable(symbol=symbol, base=symbol.split("/")[0], quote=symbol.split("/")[1].split(":")[0], venues=("v",))
        for symbol in symbols
    ]


BOTH = ("BTC/USDT", "BTC/USDC")


@pytest.mark.parametrize(
    ("instruments", "aliases", "usd_alias", "asked", "meant"),
    [
        (("BTC/USDT",), {}, True, "BTC/USDT", "BTC/USDT"),
        (("BTC/USDT",), {}, True, "BTC-USDT", "BTC/USDT"),
        (("BTC/USDT",), {}, True, "BTCUSDT", "BTC/USDT"),
        (("BTC/USDT",), {}, True, "BTC-USD", "BTC/USDT"),
        (("BTC/USDT",), {}, True, "BTCUSD", "BTC/USDT"),
        (("BTC/USDT",), {}, False, "BTC-USD", None),
        (("BTC/USDT",), {}, True, "btcusdt", None),
        (("BTC/EUR",), {}, True, "BTC-USD", None),
        # two instruments could be meant: neither is, unless the session says which
        (BOTH, {}, True, "BTC-USD", None),
        (BOTH, {"BTC-USD": "BTC/USDC"}, True, "BTC-USD", "BTC/USDC"),
        (BOTH, {}, True, "BTC-USDC", "BTC/USDC"),
        # a real USD pair wins over the alias, always
        (("BTC/USDT", "BTC/USD"), {}, True, "BTC-USD", "BTC/USD"),
        (("BTC/USDT", "BTC/USD"), {}, True, "BTCUSD", "BTC/USD"),
        # ABC/DUSDT and ABCD/USDT share the form ABCDUSDT
        (("ABC/DUSDT", "ABCD/USDT"), {}, True, "ABCDUSDT", None),
        (("ABC/DUSDT", "ABCD/USDT"), {}, True, "ABC-DUSDT", "ABC/DUSDT"),
        # spot beside a perpetual: the pair's own name is the spot instrument
        (("BTC/USDT", "BTC/USDT:USDT"), {}, True, "BTC/USDT", "BTC/USDT"),
        (("BTC/USDT", "BTC/USDT:USDT"), {}, True, "BTCUSDT", None),
        (("BTC/USDT", "BTC/USDT:USDT"), {}, True, "BTC/USDT:USDT", "BTC/USDT:USDT"),
    ],
)  # fmt: skip
def test_symbol(instruments: tuple[str, ...], aliases: dict[str, str], usd_alias: bool, asked: str, meant: str | None) -> None:
    assert symbol_map(tables(*instruments), aliases, usd_alias).get(asked) == meant
    # the order in which instruments are configured changes nothing
    assert symbol_map(reversed(tables(*instruments)), aliases, usd_alias).get(asked) == meant


@pytest.mark.parametrize(
    ("instruments", "asked", "meant"),
    [
        # what it may not trade is understood all the same, for a refusal that says so
        (("BTC/USDT", "ETH/USDT"), "ETH/USDT", "ETH/USDT"),
        (("BTC/USDT", "ETH/USDT"), "ETHUSD", "ETH/USDT"),
        (("BTC/USDT", "ETH/USDT"), "DOGE/USDT", None),
        # and takes no form away from what it may
        (BOTH, "BTC-USD", "BTC/USDT"),
        (("BTC/USDT", "BTC/USDT:USDT"), "BTCUSDT", "BTC/USDT"),
        (("ABC/DUSDT", "ABCD/USDT", "BTC/USDT"), "ABCDUSDT", None),
        # but for real names: a USD pair is never taken for a USDT pair
        (("BTC/USDT", "BTC/USD"), "BTC/USD", "BTC/USD"),
        (("BTC/USDT", "BTC/USD"), "BTC-USD", "BTC/USD"),
    ],
)
def test_symbol_of_a_session_that_may_trade_btc_usdt_only(instruments: tuple[str, ...], asked: str, meant: str | None) -> None:
    assert symbol_map(tables(*instruments), {}, True, ("BTC/USDT",)).get(asked) == meant
