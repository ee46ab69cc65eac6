"""From accepted terms to a child order: the assessment (rules, then risk stages) and the placing itself."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ..risk import session_state
from ..risk.base import REPLACE, TRIGGER, Denied, RiskRequest, run_stages
from . import events as e
from . import rules
from .commands import InstrumentSpec, Quote
from .draft import Draft
from .evolve import at_risk, notional_at_risk
from .ids import venue_cl_ord_id
from .market import Market, not_listed
from .numbers import CTX, ZERO, floor_to
from .order import Order, Pending
from .reasons import Reason
from .state import State

# how long the host may hold a place back (rate limits) before it must not send it any more; the venue's own window begins
# when it is sent, so this and recv_window pass before a "not found" counts
SEND_WINDOW_NS = 2_000_000_000
# a held stop that has triggered
_SENT_AS = {rules.STOP: rules.MARKET, rules.STOP_LIMIT: rules.LIMIT}


class Assessment(msgspec.Struct, frozen=True, gc=False):
    """What an accepted order will be: its quantity in base and the price at which it counts."""

    qty: Decimal
    risk_px: Decimal


def assess(
    state: State,
    market: Market,
    quotes: dict[str, Quote],
    terms: rules.AnyTerms,
    ts_ns: int,
    kind: str,
    order: Order | None,
) -> Assessment | Denied:
    """The quantity, then the venue's rules, then the risk stages. `order`: the one that is replaced or triggered; `quotes`: by
    venue."""
    instrument, quote = market.instrument, quotes.get(market.venue.name)
    spec = state.instruments.get(market.spec_key)
    if spec is None:
        return not_listed(market)
    reference = rules.reference_px(terms.side, quote)
    waits = order is None or (order.held and kind != TRIGGER)
    value_px = rules.value_px(terms, reference, waits)
    executed, spent = (order.cum_qty, order.notional) if order is not None else (ZERO, ZERO)
    qty = terms.order_qty
    if qty is None:
        sized = rules.base_qty(terms, spec, _cash_px(market, terms, reference), market.with_fee, executed, spent)
        if isinstance(sized, Denied):
            return _with_cause(sized, market, quote)
        qty = sized
    denied = rules.check_venue_rules(spec, terms, qty, _least_px(market, spec, terms, value_px))
    if denied is not None:
        return denied
    leaves = added = max(qty - executed, ZERO)
    notional = leaves * value_px if value_px is not None else ZERO
    if order is not None:
        added, notional = max(leaves - at_risk(order), ZERO), max(notional - notional_at_risk(order), ZERO)
    denied = run_stages(
        RiskRequest(
            kind=kind, state=state, ts_ns=ts_ns, session=market.session, account=market.account, symbol=instrument.symbol,
            base=instrument.base, quote_asset=instrument.quote, side=terms.side, ord_type=terms.ord_type, tif=terms.tif,
            qty=qty, leaves=leaves, added=added, added_notional=notional, price=terms.price, stop_px=terms.stop_px,
            value_px=value_px, reference=reference, quote=quote, bounds=market.bounds, with_fee=market.with_fee,
            order=order, cash_qty=terms.cash_qty,
        )
    )  # fmt: skip
    if denied is None:
        return Assessment(qty, value_px or ZERO)
    if denied.tag == 38 and terms.cash_qty is not None:
        denied = msgspec.structs.replace(denied, tag=152)
    return _with_cause(denied, market, quote)


def _with_cause(denied: Denied, market: Market, quote: Quote | None) -> Denied:
    """What is refused for want of market data says why what came since is not used."""
    if denied.reason is not Reason.STALE_MARKET_DATA or quote is None or not quote.unusable:
        return denied
    text = f"{denied.text}; what {market.venue.name} shows since is not used: {quote.unusable}"
    return msgspec.structs.replace(denied, text=text)


def switched_off(draft: Draft, order: Order, pending: Pending, market: Market) -> Denied | None:
    """A kill switch that was set while the old child of a replace was being canceled: nothing new, or nothing that adds."""
    leaves = pending.order_qty - order.cum_qty
    added = max(pending.order_qty - order.order_qty, ZERO)
    instrument = market.instrument
    return session_state.check(
        RiskRequest(
            kind=REPLACE, state=draft.state, ts_ns=draft.ts_ns, session=market.session, account=market.account,
            symbol=order.symbol, base=instrument.base, quote_asset=instrument.quote, side=order.side,
            ord_type=pending.ord_type, tif=pending.tif, qty=pending.order_qty, leaves=leaves, added=added,
            added_notional=CTX.multiply(added, pending.risk_px), price=pending.price, stop_px=pending.stop_px,
            value_px=pending.risk_px, reference=None, quote=None, bounds=market.bounds, with_fee=market.with_fee,
            order=order, cash_qty=pending.cash_qty,
        )
    )  # fmt: skip


def _least_px(market: Market, spec: InstrumentSpec, terms: rules.AnyTerms, value_px: Decimal | None) -> Decimal | None:
    """The price at which the venue will value the order: a market sell goes out as a limit at the collar."""
    collar = market.bounds.collar
    if value_px is None or collar is None or terms.side != "2" or terms.ord_type not in (rules.MARKET, rules.STOP):
        return value_px
    px = collar.px(terms.side, value_px)
    return rules.to_tick_inside(terms.side, px, spec) if px > 0 else value_px


def _cash_px(market: Market, terms: rules.AnyTerms, reference: Decimal | None) -> Decimal | None:
    """The price that sizes a CashOrderQty(152): the limit, for a market buy the collar, else the reference."""
    if terms.price is not None and terms.ord_type in (rules.LIMIT, rules.STOP_LIMIT):
        return terms.price
    # a stop comes to the market at its stop price or beyond
    at = terms.stop_px if terms.ord_type == rules.STOP else reference
    collar = market.bounds.collar
    return at if terms.side == "2" or at is None or collar is None else collar.px(terms.side, at)


def triggered_qty(state: State, market: Market, quotes: dict[str, Quote], order: Order) -> Decimal:
    """What a triggered stop sends (base): of a buy by CashOrderQty(152) no more than its cash pays for now; perhaps zero."""
    reference = rules.reference_px(order.side, quotes.get(market.venue.name))
    if order.cash_qty is None or order.side != "1" or order.ord_type != rules.STOP or reference is None:
        return order.order_qty
    collar, spec = market.bounds.collar, state.instruments[market.spec_key]
    px = reference if collar is None else collar.px(order.side, reference)
    most = CTX.divide(order.cash_qty, CTX.multiply(px, market.with_fee))
    return min(order.order_qty, floor_to(most, spec.market_lot or spec.lot))


def place_child(draft: Draft, order: Order, market: Market, quotes: dict[str, Quote], qty: Decimal) -> None:
    """Decide the child order of `qty` (base) and emit ChildPlaced. A market order with a collar goes out as an immediate
    limit at the collar, so that it can never trade beyond it; a quote-sized market buy likewise at the price that sized it.
    """
    ord_type, px, tif = _SENT_AS.get(order.ord_type, order.ord_type), None, order.tif
    if ord_type == rules.LIMIT:
        px = order.price
    if ord_type == rules.MARKET:
        tif = rules.IOC
        most = _most_px(order, market, quotes.get(market.venue.name), qty)
        if most is not None:
            ord_type, px = rules.LIMIT, rules.to_tick_inside(order.side, most, draft.state.instruments[market.spec_key])
    elif tif not in (rules.IOC, rules.FOK):
        # Day and GTD end here, not at the venue: several venues take GTD for GTC without a word
        tif = rules.GTC
    buy, instrument = order.side == "1", market.instrument
    cost_px = px if px is not None else order.risk_px
    draft.emit(
        # by position (see the fields of ChildPlaced): every order comes through here
        e.ChildPlaced(
            venue_cl_ord_id(order.order_id, len(order.children) + 1), draft.ts_ns,
            order.order_id, order.venue, order.account, order.symbol, order.side, ord_type, tif, qty, px,
            rules.is_post_only(order.exec_inst),
            draft.ts_ns + min(market.venue.recv_window_ns, SEND_WINDOW_NS),
            instrument.quote if buy else instrument.base,
            qty * cost_px * market.with_fee if buy else qty,
        )
    )  # fmt: skip


def _most_px(order: Order, market: Market, quote: Quote | None, qty: Decimal) -> Decimal | None:
    """The worst price (quote per base) that a market order may get; None: any."""
    collar, reference = market.bounds.collar, rules.reference_px(order.side, quote)
    px = collar.px(order.side, reference) if collar is not None and reference is not None else None
    if px is not None and px <= 0:
        px = None  # a collar of the whole price: no sell can trade beyond it
    if order.cash_qty is None or order.side != "1" or not qty:
        return px
    # whatever the market does meanwhile, a buy never spends more than its cash, fees included
    most = CTX.divide(order.cash_qty, qty * market.with_fee)
    return most if px is None else min(px, most)
