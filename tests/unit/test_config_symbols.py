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
        # a real USD pair that it may trade wins over the alias
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
        # not even one that is the other's own name
        (("BTC/USDT", "BTC/USD"), "BTC/USD", "BTC/USDT"),
        (("BTC/USDT", "BTC/USD"), "BTC-USD", "BTC/USDT"),
        (("BTC/USDT", "BTC/USD"), "BTCUSD", "BTC/USDT"),
        # among what it may not trade, the rules are the same
        (("BTC/USDT", "ETH/USDT", "ETH/USD"), "ETH-USD", "ETH/USD"),
        (("BTC/USDT", "ETH/USDT", "ETH/USDC"), "ETH-USD", None),
    ],
)
def test_symbol_of_a_session_that_may_trade_btc_usdt_only(instruments: tuple[str, ...], asked: str, meant: str | None) -> None:
    assert symbol_map(tables(*instruments), {}, True, ("BTC/USDT",)).get(asked) == meant
    assert symbol_map(reversed(tables(*instruments)), {}, True, ("BTC/USDT",)).get(asked) == meant


@pytest.mark.parametrize("form", ["BTC/USD", "BTC-USD", "BTCUSD"])
def test_a_form_that_means_none_of_its_own_is_free_for_another(form: str) -> None:
    firm = tables(*BOTH, "BTC/USD")
    assert symbol_map(firm, {}, False, ("BTC/USDT",)).get(form) == "BTC/USD"
    # ambiguous among its own: not free
    assert symbol_map(firm, {}, True, BOTH).get(form) is None
    # and its own alias decides over everything
    assert symbol_map(firm, {form: "BTC/USDC"}, True, BOTH).get(form) == "BTC/USDC"
