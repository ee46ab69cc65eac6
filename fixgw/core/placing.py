"""From accepted terms to a child order: the assessment (rules, then risk stages) and the placing itself."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ..risk.base import Denied, RiskRequest, run_stages, scopes_of
from . import events as e
from . import rules
from .commands import Quote
from .draft import Draft
from .evolve import at_risk, notional_at_risk
from .ids import venue_cl_ord_id
from .numbers import BPS, CTX, ZERO
from .order import Order
from .reasons import Reason
from .settings import AccountSettings, InstrumentSettings, SessionSettings, VenueSettings
from .state import READY, State

# how long the host may hold a place back (rate limits) before it must not send it any more; the venue's own window begins
# when it is sent, so this and recv_window pass before a "not found" counts
SEND_WINDOW_NS = 2_000_000_000


class Market(msgspec.Struct, frozen=True):
    """Everything that is known about where an order goes."""

    session: SessionSettings
    account: AccountSettings
    venue: VenueSettings
    instrument: InstrumentSettings
    quote: Quote | None


class Assessment(msgspec.Struct, frozen=True):
    """What an accepted order will be: its quantity in base and the price at which it counts."""

    qty: Decimal
    risk_px: Decimal


def find_market(
    state: State, session_name: str, symbol: str, client_account: str, ex_destination: str, quotes: dict[str, Quote]
) -> Market | Denied:
    """Session + Account(1) -> one venue account; Symbol(55) -> instrument; by the session's maps."""
    session = state.settings.sessions[session_name]
    name = session.symbols.get(symbol)
    instrument = state.settings.instruments.get(name) if name else None
    if instrument is None:
        return Denied(Reason.UNKNOWN_SYMBOL, 55, symbol, "a mapped symbol", f"unknown symbol {symbol!r}")
    account = state.settings.accounts.get(session.accounts.get(client_account, ""))
    if account is None:
        return Denied(Reason.UNKNOWN_ACCOUNT, 1, client_account, "a mapped account", f"unknown account {client_account!r}")
    venue = state.settings.venues[account.venue]
    if ex_destination and ex_destination != venue.name:
        text = f"account {account.name} trades at {venue.name}, not at {ex_destination!r}"
        return Denied(Reason.UNKNOWN_VENUE, 100, ex_destination, venue.name, text)
    return Market(session=session, account=account, venue=venue, instrument=instrument, quote=quotes.get(venue.name))


def venue_ready(state: State, venue: str) -> Denied | None:
    """New orders need a venue that is up and reconciled."""
    found = state.venues.get(venue)
    if found is not None and found.state == READY:
        return None
    reconciling = found is not None and found.state == "RECONCILING"
    reason = Reason.RECONCILING if reconciling else Reason.VENUE_DOWN
    why = found.reason if found is not None and found.reason else reason.meaning
    return Denied(reason, 100, venue, "READY", f"venue {venue} is not ready: {why}")


def assess(state: State, market: Market, terms: rules.Terms, ts_ns: int, kind: str, order: Order | None) -> Assessment | Denied:
    """Order rules, then venue rules, then the risk stages. `order`: the one that is replaced or triggered."""
    spec = state.instruments.get(f"{market.venue.name}|{market.instrument.symbol}")
    if spec is None:
        return Denied(Reason.UNKNOWN_SYMBOL, 55, market.instrument.symbol, market.venue.name, "not listed by the venue")
    reference = rules.reference_px(terms.side, market.quote)
    value_px = rules.value_px(terms, reference)
    executed, spent = (order.cum_qty, order.notional) if order is not None else (ZERO, ZERO)
    cash_px = _cash_px(state, market, terms, reference)
    qty = rules.base_qty(terms, spec, cash_px, market.venue.taker_fee_bps, executed, spent)
    if isinstance(qty, Denied):
        return qty
    denied = rules.check_venue_rules(spec, terms, qty, value_px)
    if denied is not None:
        return denied
    leaves = max(qty - executed, ZERO)
    old_leaves, old_notional = (at_risk(order), notional_at_risk(order)) if order is not None else (ZERO, ZERO)
    notional = CTX.multiply(leaves, value_px or ZERO)
    denied = run_stages(
        RiskRequest(
            kind=kind,
            state=state,
            ts_ns=ts_ns,
            session=market.session,
            account=market.account,
            symbol=market.instrument.symbol,
            base=market.instrument.base,
            quote_asset=market.instrument.quote,
            side=terms.side,
            ord_type=terms.ord_type,
            tif=terms.tif,
            qty=qty,
            leaves=leaves,
            added=max(leaves - old_leaves, ZERO),
            added_notional=max(notional - old_notional, ZERO),
            price=terms.price,
            stop_px=terms.stop_px,
            value_px=value_px,
            reference=reference,
            quote=market.quote,
            fee_bps=market.venue.taker_fee_bps,
            order=order,
            cash_qty=terms.cash_qty,
            known_scopes=scopes_of(market.session, market.account, state.settings.firm),
        )
    )
    if denied is not None and denied.tag == 38 and terms.cash_qty is not None:
        denied = msgspec.structs.replace(denied, tag=152)
    return denied if denied is not None else Assessment(qty=qty, risk_px=value_px or ZERO)


def _cash_px(state: State, market: Market, terms: rules.Terms, reference: Decimal | None) -> Decimal | None:
    """The price that sizes a CashOrderQty(152): the limit, for a market buy the collar, else the reference."""
    if terms.price is not None and terms.ord_type in (rules.LIMIT, rules.STOP_LIMIT):
        return terms.price
    if terms.ord_type == rules.STOP:
        return terms.stop_px
    if terms.side == "2":
        return reference
    collar = rules.collar_px(terms.side, reference, state.settings, market.session, market.account, market.instrument.symbol)
    return collar if collar is not None else reference


def place_child(draft: Draft, order: Order, market: Market, qty: Decimal) -> None:
    """Decide the child order of `qty` (base) and emit ChildPlaced. A market order with a collar goes out as an immediate
    limit at the collar, so that it can never trade beyond it; a quote-sized market buy likewise at the price that sized it.
    """
    state = draft.state
    ord_type = {rules.STOP: rules.MARKET, rules.STOP_LIMIT: rules.LIMIT}.get(order.ord_type, order.ord_type)
    spec = state.instruments[f"{order.venue}|{order.symbol}"]
    px, tif = order.price if ord_type == rules.LIMIT else None, order.tif
    if ord_type == rules.MARKET:
        tif = rules.IOC
        reference = rules.reference_px(order.side, market.quote)
        collar = rules.collar_px(order.side, reference, state.settings, market.session, market.account, order.symbol)
        if order.cash_qty is not None and order.side == "1" and qty:
            # whatever the market does meanwhile, a buy never spends more than its cash, fees included
            most = CTX.divide(order.cash_qty, CTX.multiply(qty, 1 + CTX.divide(market.venue.taker_fee_bps, BPS)))
            collar = most if collar is None else min(collar, most)
        if collar is not None:
            ord_type, px = rules.LIMIT, rules.to_tick_inside(order.side, collar, spec)
    elif tif not in (rules.IOC, rules.FOK):
        # Day and GTD end here, not at the venue: several venues take GTD for GTC without a word
        tif = rules.GTC
    buy = order.side == "1"
    fee = 1 + CTX.divide(market.venue.taker_fee_bps, BPS)
    cost_px = px if px is not None else order.risk_px
    draft.emit(
        e.ChildPlaced(
            venue_cl_ord_id=venue_cl_ord_id(order.order_id, len(order.children) + 1),
            ts_ns=draft.ts_ns,
            order_id=order.order_id,
            venue=order.venue,
            account=order.account,
            symbol=order.symbol,
            side=order.side,
            ord_type=ord_type,
            tif=tif,
            qty=qty,
            px=px,
            post_only=rules.POST_ONLY in order.exec_inst.split(),
            expires_ns=draft.ts_ns + min(market.venue.recv_window_ns, SEND_WINDOW_NS),
            reserve_asset=market.instrument.quote if buy else market.instrument.base,
            reserve_qty=CTX.multiply(CTX.multiply(qty, cost_px), fee) if buy else qty,
        )
    )


def market_of(state: State, order: Order, quotes: dict[str, Quote]) -> Market:
    """The market of an order that was accepted before (its names may have left the configuration: KeyError)."""
    return Market(
        session=state.settings.sessions[order.session],
        account=state.settings.accounts[order.account],
        venue=state.settings.venues[order.venue],
        instrument=state.settings.instruments[order.symbol],
        quote=quotes.get(order.venue),
    )
