"""FIX text -> commands: what each message becomes, in the three versions, and what is refused with which words."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixgw.core.commands import CancelOrder, NewOrder, Quote, ReplaceOrder, SeqSeen, StatusRequest, Unsupported
from fixgw.fix.inbound import Context, parse
from fixgw.fix.inbound.fields import FieldError, split, time_ns

DAY = 86_400 * 10**9
QUOTE = Quote(last=Decimal("60000"), recv_ns=5)
# session, OrigClOrdID, OrderID, Symbol of replaces that name an order with quotes
MEANT = (("OMS", "a", "", "BTC/USDT"), ("OMS", "a", "", ""), ("OMS", "", "O1", ""), ("OMS", "a", "O1", "ETH/USDT"))


def context(role: str = "trading") -> Context:
    return Context(
        session="OMS", reset_epoch=3, ts_ns=77, quotes=lambda s: {"sim": QUOTE} if s == "BTC/USDT" else {}, role=role,
        order_quotes=lambda *ids: {"sim": QUOTE} if ids in MEANT else {},
        currencies=lambda s: {"BTC/USDT": ("USDT", "USD"), "ETH/BTC": ("BTC",)}.get(s, ()),
    )  # fmt: skip


def raw(body: str, msg_type: str = "D", header: str = "", begin: str = "FIX.4.4") -> str:
    head = f"8={begin}|9=0|35={msg_type}|34=12|49=C|52=20240229-12:00:00.000|56=FIXGW|{header}"
    return f"{head}{body}|10=000|".replace("|", "\x01")


ORDER = "11=a1|38=1.50|40=2|44=60000.10|54=1|55=BTC/USDT|60=20240229-12:00:00.000"


def test_a_plain_order_is_the_same_by_the_short_way_and_by_the_long():
    """An empty Text(58) means nothing, and takes the way of the orders with seldom fields."""
    for body in (ORDER, ORDER + "|1=acc|59=3", ORDER.replace("55=BTC/USDT", "55=ETH")):
        short, long = parse(raw(body), context()), parse(raw(body + "|58="), context())
        assert isinstance(short, NewOrder) and short == long


@pytest.mark.parametrize(
    "bad", ["11=", "11=" + "x" * 65, "38=1e3", "38=.", "38=1.2.3", "38=" + "1" * 31, "44=٣", "54=", "54=12", "55=", "59=\x7f"]
)
def test_a_field_at_fault_is_the_same_by_both_ways(bad):
    tag = bad.split("=")[0]
    body = "|".join(part for part in ORDER.split("|") if not part.startswith(f"{tag}=")) + "|" + bad
    short, long = parse(raw(body), context()), parse(raw(body + "|58="), context())
    assert isinstance(short, Unsupported) and short == long and short.tag == int(tag)


@pytest.mark.parametrize("begin", ["FIX.4.2", "FIX.4.4", "FIXT.1.1"])
def test_new_order(begin):
    extra = "|1=acc|18=6|59=6|126=20240301-00:00:00.5|100=BINANCE|99=59000|48=4H95|22=Y|58=hi=there"
    order = parse(raw(ORDER + extra, begin=begin), context())
    assert order == NewOrder(
        ts_ns=77,
        session="OMS",
        reset_epoch=3,
        msg_seq=12,
        origin_ns=1709208000 * 10**9,
        cl_ord_id="a1",
        symbol="BTC/USDT",
        side="1",
        ord_type="2",
        tif="6",
        account="acc",
        order_qty=Decimal("1.50"),
        price=Decimal("60000.10"),
        stop_px=Decimal("59000"),
        expire_ns=1709251200 * 10**9 + 500_000_000,
        exec_inst="6",
        ex_destination="BINANCE",
        security_id="4H95",
        security_id_source="Y",
        text="hi=there",
        quotes={"sim": QUOTE},
    )
    assert str(order.order_qty) == "1.50"  # exact decimals, trailing zero and all


def test_no_time_in_force_is_day_and_cash_orders_have_152():
    order = parse(raw("11=a|152=100|40=1|54=2|55=ETH/USDT|60=20240229-12:00:00"), context())
    assert (order.tif, order.cash_qty, order.order_qty, order.price, order.quotes) == ("0", 100, None, None, {})


def test_possible_duplicates():
    order = parse(raw(ORDER, header="43=Y|97=Y|122=20240229-11:00:00.000000001|"), context())
    assert order.poss_dup and order.poss_resend and order.origin_ns == 1709204400 * 10**9 + 1
    assert order.origin_tag == 122
    assert parse(raw(ORDER, header="97=Y|"), context()).origin_tag == 60


def test_the_other_requests():
    base = "11=c|41=a|54=1|55=BTC/USDT|60=20240229-12:00:00"
    cancel = parse(raw(base + "|37=O1", "F"), context())
    assert isinstance(cancel, CancelOrder)
    assert (cancel.cl_ord_id, cancel.orig_cl_ord_id, cancel.order_id, cancel.side) == ("c", "a", "O1", "1")
    change = parse(raw(base + "|38=2|40=2|44=1", "G"), context())
    assert isinstance(change, ReplaceOrder)
    assert (change.order_qty, change.price, change.tif, change.exec_inst, change.quotes) == (2, 1, None, None, {"sim": QUOTE})
    assert (change.account, change.ex_destination) == ("", "")
    moved = parse(raw(base + "|38=2|40=2|44=1|1=acc|100=NASD", "G"), context())
    assert isinstance(moved, ReplaceOrder) and (moved.account, moved.ex_destination) == ("acc", "NASD")
    for named in ("41=a", "37=O1", "41=a|37=O1|55=ETH/USDT"):  # FIX 5.0SP2 may leave out Symbol(55)
        by_order = parse(raw(f"11=c|{named}|54=1|38=2|40=2|44=1", "G", begin="FIXT.1.1"), context())
        assert isinstance(by_order, ReplaceOrder) and by_order.quotes == {"sim": QUOTE}, named
    asked = parse(raw("11=a|54=1|55=BTC/USDT|790=q7", "H"), context())
    assert isinstance(asked, StatusRequest) and (asked.cl_ord_id, asked.request_id) == ("a", "q7")
    by_id = parse(raw("37=O1|54=1", "H", begin="FIXT.1.1"), context())
    assert (by_id.cl_ord_id, by_id.order_id) == ("", "O1")


def test_expire_date_is_the_end_of_that_day():
    order = parse(raw(ORDER + "|59=6|432=20240229"), context())
    assert (order.expire_ns, order.expire_tag) == (1709164800 * 10**9 + DAY, 432)
    both = parse(raw(ORDER + "|59=6|432=20240229|126=20240229-12:00:00"), context())
    assert (both.expire_ns, both.expire_tag) == (1709208000 * 10**9, 126)


def test_group_members_do_not_overwrite_fields():
    order = parse(raw(ORDER + "|453=1|448=x|447=D|452=3|34=99|11=other"), context())
    assert (order.msg_seq, order.cl_ord_id) == (12, "a1")


def test_data_fields_are_read_by_their_length():
    order = parse(raw(ORDER + "|354=11|355=x\x0159=4\x0144=9|59=3"), context())
    assert (order.tif, order.price) == ("3", Decimal("60000.10"))


def without(tag: str) -> str:
    return "|".join(part for part in ORDER.split("|") if not part.startswith(f"{tag}="))


@pytest.mark.parametrize(
    ("body", "msg_type", "reason", "business", "tag", "words"),
    [
        (without("11"), "D", "MISSING_FIELD", 5, 11, "missing"),
        (without("55"), "D", "MISSING_FIELD", 5, 55, "missing"),
        (without("54"), "D", "MISSING_FIELD", 5, 54, "missing"),
        (without("38") + "|38=NaN", "D", "INVALID_VALUE", 0, 38, "without exponent"),
        (without("38") + "|38=Infinity", "D", "INVALID_VALUE", 0, 38, "without exponent"),
        (without("38") + "|38=1E5", "D", "INVALID_VALUE", 0, 38, "without exponent"),
        (without("38") + "|38=1_000", "D", "INVALID_VALUE", 0, 38, "without exponent"),
        (without("38") + "|38=\uff11", "D", "INVALID_VALUE", 0, 38, "without exponent"),
        (without("38") + "|38=" + "9" * 31, "D", "INVALID_VALUE", 0, 38, "30 digits"),
        (ORDER + "|126=20240230-00:00:00", "D", "INVALID_VALUE", 0, 126, "UTC time"),
        (ORDER + "|126=20240229-24:00:00", "D", "INVALID_VALUE", 0, 126, "UTC time"),
        (ORDER + "|432=20241301", "D", "INVALID_VALUE", 0, 432, "YYYYMMDD"),
        (without("54") + "|54=12", "D", "INVALID_VALUE", 0, 54, "one character"),
        (without("11") + "|11=" + "x" * 65, "D", "INVALID_VALUE", 0, 11, "64 printable"),
        (without("11") + "|11=caf\udce9", "D", "INVALID_VALUE", 0, 11, "printable ASCII"),
        (ORDER + "|111=1", "D", "UNSUPPORTED", 0, 111, "no such field"),
        (ORDER + "|847=1", "D", "UNSUPPORTED", 0, 847, "no such field"),
        (ORDER + "|41=a|110=2", "G", "UNSUPPORTED", 0, 110, "0 or no such field"),
        ("11=c|54=1|55=x", "F", "MISSING_FIELD", 5, 41, "missing"),
        ("131=q", "R", "UNSUPPORTED_MESSAGE", 3, 35, "not supported"),
    ],
)
def test_refusals(body, msg_type, reason, business, tag, words):
    refused = parse(raw(body, msg_type), context())
    assert isinstance(refused, Unsupported)
    assert (refused.reason, refused.business_reason, refused.tag, refused.msg_seq) == (reason, business, tag, 12)
    assert words in refused.text and refused.msg_type == msg_type and refused.limit
    if msg_type == "R":
        assert (refused.value, refused.limit) == ("R", "D, F, G, H")
    msgspec.msgpack.encode(refused)  # it can be journaled


@pytest.mark.parametrize(("symbol", "currency", "limit"), [
    ("BTC/USDT", "USDT", ""),
    ("BTC/USDT", "USD", ""),
    ("BTC/USDT", "EUR", "USDT or USD, the currency of the price"),
    ("BTC/USDT", "BTC", "USDT or USD, the currency of the price"),  # of the quantity, not of the price
    ("BTC/USDT", "", "USDT or USD, the currency of the price"),
    ("ETH/BTC", "USD", "BTC, the currency of the price"),
    ("nobody's", "EUR", ""),  # the core refuses the symbol
])  # fmt: skip
@pytest.mark.parametrize("msg_type", ["D", "G"])
def test_an_order_in_another_currency_is_another_order(msg_type, symbol, currency, limit):
    body = ORDER.replace("BTC/USDT", symbol) + f"|41=a|15={currency}"
    command = parse(raw(body, msg_type), context())
    if not limit:
        assert isinstance(command, NewOrder | ReplaceOrder)
        return
    assert (command.reason, command.tag, command.value, command.limit) == ("UNSUPPORTED", 15, currency, limit)
    assert command.request.cl_ord_id == "a1"
    if msg_type == "G":  # of which instrument?
        command = parse(raw("11=c|41=a|54=1|40=2|15=USDT", "G", begin="FIXT.1.1"), context())
        assert (command.tag, command.limit) == (15, "Symbol(55) beside it")


def test_harmless_terms_pass():
    assert isinstance(parse(raw(ORDER + "|110=0|423=2|854=0"), context()), NewOrder)


def test_what_can_be_read_of_a_request_is_kept_for_its_refusal():
    header = "43=Y|97=Y|122=29991201-00:00:00|"
    refused = parse(raw(ORDER + "|1=acc|59=6|126=20240301-00:00:00|99=1e3|100=sim", header=header), context())
    assert isinstance(refused, Unsupported) and (refused.tag, refused.limit[:10]) == (122, "a UTC time")
    kept = {"poss_dup": True, "poss_resend": True, "origin_ns": None, "ts_ns": 77, "session": "OMS", "reset_epoch": 3}
    assert refused.request == NewOrder(
        **kept, msg_seq=12, cl_ord_id="a1", symbol="BTC/USDT", side="1", ord_type="2", tif="6", account="acc",
        order_qty=Decimal("1.50"), price=Decimal("60000.10"), expire_ns=1709251200 * 10**9, ex_destination="sim",
    )  # fmt: skip
    refused = parse(raw("11=c|41=a|37=\x7f|54=1|55=BTC/USDT|60=x", "F", header="97=Y|"), context())
    kept |= {"poss_dup": False}
    assert refused.request == CancelOrder(**kept, msg_seq=12, cl_ord_id="c", orig_cl_ord_id="a")
    refused = parse(raw("11=c|41=a|54=12|55=BTC/USDT|40=2", "G", header="97=Y|"), context())
    assert refused.request == ReplaceOrder(
        **kept, msg_seq=12, cl_ord_id="c", orig_cl_ord_id="a", symbol="BTC/USDT", side="", ord_type="2"
    )


@pytest.mark.parametrize(
    ("body", "msg_type"),
    [
        (ORDER.replace("11=a1", "11=" + "x" * 65), "D"),
        ("41=a|54=1", "F"),
        ("11=c|54=1", "F"),
        ("11=c|41=" + "x" * 65, "G"),
        ("11=c|37=\x7f|54=1", "G"),
        ("11=" + "x" * 65, "H"),
        (ORDER, "R"),
    ],
)
def test_nothing_is_kept_where_no_answer_could_name_it(body, msg_type):
    refused = parse(raw(body, msg_type), context())
    assert isinstance(refused, Unsupported) and refused.request is None and refused.limit


@pytest.mark.parametrize("msg_type", ["D", "F", "G", "H"])
def test_a_drop_copy_session_is_read_only(msg_type):
    refused = parse(raw(ORDER, msg_type), context("drop_copy"))
    assert (refused.reason, refused.business_reason, refused.ref_id) == ("READ_ONLY", 6, "a1")
    assert (refused.tag, refused.value, refused.limit) == (35, msg_type, "no orders and no requests")
    refused = parse(raw(ORDER + "|111=1|60=x", msg_type), context("drop_copy"))
    assert isinstance(refused, Unsupported) and refused.request is None


def test_a_reject_of_ours_is_not_answered():
    assert isinstance(parse(raw("45=3|372=8|380=0", "j"), context()), SeqSeen)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("19700101-00:00:00", 0),
        ("20240229-23:59:59.9", 1709251199_900000000),
        ("20240229-23:59:59.123456789", 1709251199_123456789),
        ("20161231-23:59:60", 1483228800_000000000),
    ],
)
def test_times(text, ns):
    assert time_ns(60, text) == ns


@given(st.text(max_size=30))
def test_a_time_is_read_or_refused(text):
    try:
        assert time_ns(60, text) >= 0
    except FieldError as error:
        assert error.tag == 60


@given(st.text(max_size=200))
def test_nothing_else_escapes(noise):
    try:
        noise.encode()
    except UnicodeEncodeError:
        return
    message = raw(ORDER).replace("\x0110=", f"\x01{noise}\x0110=")
    command = parse(message, context())
    assert command.msg_seq == 12 and command.session == "OMS"
    msgspec.msgpack.encode(command)


@given(st.dictionaries(st.sampled_from(["11", "55", "54", "40", "38", "44", "59", "126", "18", "60"]), st.text(max_size=40)))
def test_any_values_end_in_a_command(values):
    body = "|".join(f"{tag}={value}" for tag, value in values.items()).replace("\x01", "")
    command = parse(raw(body), context())
    msgspec.msgpack.encode(command)
    assert isinstance(command, NewOrder | Unsupported)


def test_split_takes_the_first():
    assert split("8=F\x01bad\x0111=a\x01") == {"8": "F", "11": "a"}
    assert split("8=F\x01354=99\x01355=a\x01") == {"8": "F", "354": "99", "355": "a"}
    assert split("8=F\x0111=a\x0111=b\x01") == {"8": "F", "11": "a"}
