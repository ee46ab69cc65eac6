"""What a venue may say and what it may not: nonsense is taken out of a venue's command before anything is decided on it.

    a number that is NaN, infinite, negative where that has no meaning, or beyond any market ... taken for "not said"
    an unknown status or outcome ............................................................. taken for "no answer"
    one instrument or asset with such numbers ................................................ left out, the others count
    one open order with such numbers ......................................................... it is open, no more is known
    a quote's last price with such a number ................................................... not said; its book counts
    a time in the future ..................................................................... now
    a text of unbounded length ............................................................... cut

Each is told as an alert (BAD_VENUE_DATA). Trades are judged one by one in settle.trade (BAD_TRADE), which asks trade_problem;
an end is held against its order where that is known (end_problem): one that cannot be is no word, and the venue is asked again.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from . import commands as c
from .child import Child
from .numbers import ZERO

# far beyond any market, and still exact in 60 digits when two such numbers are multiplied
MAX_EXPONENT = 24
MAX_DIGITS = 40
MAX_TEXT = 512
# venue hosts live on this machine, venues' clocks are roughly right
FUTURE_NS = 60_000_000_000
ENDS = frozenset(("filled", "canceled", "expired", "rejected"))
OUTCOMES = ENDS | {"open", "not_found", "error"}


def is_number(value: Decimal, low: Decimal | None = ZERO) -> bool:
    """Finite, of a size that markets have, and not below `low`."""
    if not value.is_finite():
        return False
    if value and not -MAX_EXPONENT <= value.adjusted() <= MAX_EXPONENT:
        return False
    # a text of so many characters has no more digits; taking the digits apart costs ten times as much
    if len(str(value)) > MAX_DIGITS and len(value.as_tuple().digits) > MAX_DIGITS:
        return False
    return low is None or value >= low


def trade_problem(item: c.VenueTrade) -> str:
    """Why this is no trade; "" when it is one."""
    if not (is_number(item.qty) and item.qty > 0 and is_number(item.px) and item.px > 0):
        return f"{item.qty:.50} @ {item.px:.50} is no trade" if _printable(item) else "its figures are no numbers of a market"
    if not is_number(item.fee, None):
        return "its fee is no number of a market"
    if item.side not in ("1", "2") or not item.venue_trade_id or not item.symbol:
        return f"side {item.side!r:.20}, expected 1 or 2, an id and a symbol"
    return ""


def end_problem(child: Child, most: Decimal, status: str, cum_qty: Decimal | None, kept: bool = False) -> str:
    """Why the child cannot have ended so; "" when it can. `most`: the greatest quantity that it ever had (base); `kept`: the
    venue has said so again and again."""
    if cum_qty is None:
        return ""
    if cum_qty > max(most, child.told_qty):
        return f"{status} with {cum_qty:f} executed of {child.qty:f}"
    # a market order that is over is "filled" at venues that count it in money; an amend may have been carried out already
    partly = cum_qty > 0 and (child.ord_type == "1" or cum_qty in (child.amend, child.amend_maybe))
    # an order that was made smaller without our knowing: by hand, or by an amend that a power cut took from a journal that was
    # not synced
    smaller = kept and 0 < cum_qty == child.told_qty
    if status == "filled" and cum_qty < child.qty and not partly and not smaller:
        return f"filled with {cum_qty:f} executed of {child.qty:f}"
    return ""


def _printable(item: c.VenueTrade) -> bool:
    return all(not value.is_finite() or abs(value.adjusted()) <= MAX_EXPONENT for value in (item.qty, item.px))


def usable_quote(quote: c.Quote, now_ns: int) -> tuple[c.Quote, str]:
    """The quote without trades at what is no price, and why nothing may be valued with it all the same; "" when it can be. A last
    trade that is none says nothing of the book."""
    problem = ""
    for name in ("last", "last_low", "last_high"):
        px = getattr(quote, name)
        if px is not None and not (is_number(px) and px > 0):
            problem = "last is no price"
    if problem:
        quote = msgspec.structs.replace(quote, last=None, last_ns=0, last_low=None, last_high=None)
        if quote.bid is None and quote.ask is None:
            return quote, problem
    return quote, _book_problem(quote, now_ns)


def _book_problem(quote: c.Quote, now_ns: int) -> str:
    for name in ("bid", "ask"):
        px = getattr(quote, name)
        if px is not None and not (is_number(px) and px > 0):
            return f"{name} is no price"
    for name in ("bid_qty", "ask_qty"):
        qty = getattr(quote, name)
        if qty is not None and not is_number(qty):
            return f"{name} is no quantity"
    return "received in the future" if quote.recv_ns > now_ns + FUTURE_NS else ""


# words of a venue in which nothing can be nonsense, or whose trades are judged one by one
_PLAIN = frozenset((c.ChildAck, c.ChildTrade))


def screen(command: c.VenueCommand) -> tuple[c.VenueCommand, list[str]]:
    """The command without nonsense, and what was wrong with it."""
    if type(command) in _PLAIN:
        return command, []
    if isinstance(command, c.ChildQueryResult | c.VenueReconciled) and command.asked_ns > command.ts_ns:
        # what was asked in the future would make a "not found" count at once, and hide trades from the next reconciliation
        command = msgspec.structs.replace(command, asked_ns=command.ts_ns)
    match command:
        case c.ChildDone():
            return _done(command)
        case c.ChildQueryResult():
            return _query_result(command)
        case c.BalancesReport():
            return _balances(command)
        case c.InstrumentsReport():
            good = tuple(spec for spec in command.instruments if spec_is_sane(spec))
            bad = [spec.symbol for spec in command.instruments if not spec_is_sane(spec)]
            return _without(command, "instruments", good, bad)
        case c.VenueReconciled():
            orders = tuple(order if _order_is_sane(order) else _unread(order) for order in command.open_orders)
            bad = [order.venue_cl_ord_id for order in command.open_orders if not _order_is_sane(order)]
            return _without(command, "open_orders", orders, bad)
        case c.ChildAmended() if not is_number(command.qty):
            return msgspec.structs.replace(command, qty=ZERO), [
                f"{command.venue}: the amended quantity of {command.venue_cl_ord_id[:40]} is nonsense"
            ]
        case c.ChildReject() | c.ChildAmbiguous() | c.ChildCancelReject() | c.ChildAmendReject():
            if len(command.text) > MAX_TEXT or len(command.code) > MAX_TEXT:
                command = msgspec.structs.replace(command, text=command.text[:MAX_TEXT], code=command.code[:MAX_TEXT])
        case c.VenueOddity() if len(command.text) > MAX_TEXT:
            command = msgspec.structs.replace(command, text=command.text[:MAX_TEXT])
        case c.VenueLink() if len(command.reason) > MAX_TEXT:
            command = msgspec.structs.replace(command, reason=command.reason[:MAX_TEXT])
        case _:
            pass
    return command, []


def _without(
    command: c.InstrumentsReport | c.VenueReconciled, field: str, good: tuple[object, ...], bad: list[str]
) -> tuple[c.VenueCommand, list[str]]:
    if not bad:
        return command, []
    shown = ", ".join(name[:40] for name in bad[:10])
    kept = msgspec.structs.replace(command, **{field: good})
    return kept, [f"{command.venue}: {len(bad)} {field} have figures that are no numbers of a market: {shown}"]


def _done(command: c.ChildDone) -> tuple[c.VenueCommand, list[str]]:
    problems = []
    status, cum_qty = command.status, command.cum_qty
    if status not in ENDS:
        problems.append(f"status {status[:40]!r} of {command.venue_cl_ord_id[:40]}")
        status, cum_qty = "canceled", None  # an end without a figure is asked about
    elif cum_qty is not None and not is_number(cum_qty):
        problems.append(f"executed quantity of {command.venue_cl_ord_id[:40]}, which ended as {status}")
        # "filled" without a figure would mean all of it
        status, cum_qty = "canceled" if status == "filled" else status, None
    if problems or len(command.text) > MAX_TEXT:
        command = msgspec.structs.replace(command, status=status, cum_qty=cum_qty, text=command.text[:MAX_TEXT])
    return command, [f"{command.venue}: {problem} is nonsense" for problem in problems]


def _query_result(command: c.ChildQueryResult) -> tuple[c.VenueCommand, list[str]]:
    problem = ""
    if command.outcome not in OUTCOMES:
        problem = f"outcome {command.outcome[:40]!r}"
    elif command.cum_qty is not None and not is_number(command.cum_qty):
        problem = "executed quantity"
    if problem:
        command = msgspec.structs.replace(command, outcome="error", cum_qty=None, text=command.text[:MAX_TEXT])
        return command, [f"{command.venue}: the {problem} of {command.venue_cl_ord_id[:40]} is nonsense"]
    if len(command.text) > MAX_TEXT:
        command = msgspec.structs.replace(command, text=command.text[:MAX_TEXT])
    return command, []


def _balances(command: c.BalancesReport) -> tuple[c.VenueCommand, list[str]]:
    bad = {asset for kind in (command.free, command.total) for asset, value in kind.items() if not is_number(value, None)}
    asof_ns = min(command.asof_ns, command.ts_ns) if command.asof_ns > command.ts_ns + FUTURE_NS else command.asof_ns
    # without a time of its own an asset is as of the report's
    later = {asset: at_ns for asset, at_ns in command.later.items() if asof_ns < at_ns <= command.ts_ns + FUTURE_NS}
    bad_times = {asset for asset, at_ns in command.later.items() if at_ns > command.ts_ns + FUTURE_NS}
    if later != command.later:
        command = msgspec.structs.replace(command, later=later)
    if not bad and not bad_times and asof_ns == command.asof_ns:
        return command, []
    # an asset that is left out counts as nothing: orders that need it are refused
    free = {asset: value for asset, value in command.free.items() if asset not in bad}
    total = {asset: value for asset, value in command.total.items() if asset not in bad}
    kept = msgspec.structs.replace(command, free=free, total=total, asof_ns=asof_ns)
    names = ", ".join(sorted(bad | bad_times))[:200] or "all"
    return kept, [f"{command.venue}: balance of {names} (as of {command.asof_ns}) is nonsense"]


def spec_is_sane(spec: c.InstrumentSpec) -> bool:
    """All its rules are numbers of a market."""
    values = (getattr(spec, name) for name in spec.__struct_fields__)
    return bool(spec.symbol) and all(is_number(value) for value in values if isinstance(value, Decimal))


def _unread(order: c.OpenOrder) -> c.OpenOrder:
    return msgspec.structs.replace(order, qty=ZERO, cum_qty=ZERO, px=None, unread=True)


def _order_is_sane(order: c.OpenOrder) -> bool:
    return is_number(order.qty) and is_number(order.cum_qty) and (order.px is None or is_number(order.px))
