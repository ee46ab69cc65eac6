"""What the exchange remembers of its participants: balances, orders by every id, trades, within a bounded history.

The two ways in are the matching engine (live) and the ledger (restart); both end in the same methods here, so that a
restarted exchange stands exactly where it stood.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal, localcontext

from fixgw.sim.model import BUY, CONTEXT, HOUSE, STREET, ZERO, Account, Fill, Order, Refused, SymbolRules

Key = tuple[str, str]  # (account, symbol)


class Records:
    """Accounts, orders and trades. history bounds the closed orders and, per account and symbol, the trades kept."""

    def __init__(self, symbols: Iterable[SymbolRules], history: int = 100_000) -> None:
        self.symbols = {rules.symbol: rules for rules in symbols}
        self.accounts: dict[str, Account] = {STREET: Account(STREET, unlimited=True)}
        self.orders: dict[int, Order] = {}
        self.open_orders: dict[Key, dict[int, Order]] = {}
        self.account_orders: dict[Key, dict[int, Order]] = {}
        self.by_client: dict[tuple[str, str, str], int] = {}
        self.trades: dict[Key, deque[Fill]] = {}
        self.fees: dict[str, Decimal] = {}
        self.house_net: dict[str, Decimal] = {}  # what the house gained against all others, per asset
        self.next_order_id = 1
        self._closed: deque[int] = deque()
        self._history = history

    def add_account(self, name: str, balances: dict[str, Decimal], *, unlimited: bool = False) -> None:
        """Open an account with what it starts with; one that exists is left alone."""
        if name == HOUSE:
            raise ValueError(f"account name {name!r} is reserved for the liquidity of the venue")
        if name in self.accounts:
            return
        account = self.accounts[name] = Account(name, unlimited=unlimited)
        for asset, amount in balances.items():
            account.balance(asset).free = amount

    def rules(self, symbol: str) -> SymbolRules:
        found = self.symbols.get(symbol)
        if found is None:
            raise Refused(-1121, "Invalid symbol.")
        return found

    def find(self, account: str, symbol: str, order_id: int | None, cl_ord_id: str | None) -> Order | None:
        """The account's order by exchange id or else by client id (of several with one id, the last placed)."""
        if order_id is None:
            order_id = self.by_client.get((account, symbol, cl_ord_id or ""))
        order = self.orders.get(order_id) if order_id is not None else None
        return order if order is not None and (order.account, order.symbol) == (account, symbol) else None

    def register(self, order: Order) -> None:
        """Take a new order into all indexes and lock what it holds (order.locked)."""
        key = (order.account, order.symbol)
        self.orders[order.order_id] = order
        self.open_orders.setdefault(key, {})[order.order_id] = order
        self.account_orders.setdefault(key, {})[order.order_id] = order
        self.by_client[(order.account, order.symbol, order.cl_ord_id)] = order.order_id
        self.next_order_id = max(self.next_order_id, order.order_id + 1)
        self._hold(order, order.locked)

    def _hold(self, order: Order, amount: Decimal) -> None:
        rules = self.symbols[order.symbol]
        account = self.accounts[order.account]
        held = account.balance(rules.quote if order.side == BUY else rules.base)
        held.free -= amount
        held.locked += amount

    def apply_fill(self, order: Order, fill: Fill) -> None:
        """Book one side of a trade: the order's figures, the balances, the fee; closes the order when it is full."""
        rules = self.symbols[order.symbol]
        account = self.accounts[order.account]
        base, quote = account.balance(rules.base), account.balance(rules.quote)
        sign = 1 if order.side == BUY else -1
        with localcontext(CONTEXT):
            value = fill.price * fill.qty
            hold = ZERO
            if order.locked:
                hold = order.price * fill.qty if order.side == BUY else fill.qty
                order.locked -= hold
                self._hold(order, -hold)
            base.free += sign * fill.qty
            quote.free -= sign * value
            account.balance(fill.fee_asset).free -= fill.fee
            self.fees[fill.fee_asset] = self.fees.get(fill.fee_asset, ZERO) + fill.fee
            self.house_net[rules.base] = self.house_net.get(rules.base, ZERO) - sign * fill.qty
            self.house_net[rules.quote] = self.house_net.get(rules.quote, ZERO) + sign * value
            order.cum_qty += fill.qty
            order.cum_quote += value
        order.updated_ns = account.updated_ns = fill.at_ns
        order.fills.append(fill)
        trades = self.trades.get((order.account, order.symbol))
        if trades is None:
            trades = self.trades[(order.account, order.symbol)] = deque(maxlen=self._history)
        trades.append(fill)
        if order.cum_qty == order.qty:
            self.close(order, "FILLED", fill.at_ns)
        else:
            order.status = "PARTIALLY_FILLED"

    def reduce(self, order: Order, qty: Decimal, cl_ord_id: str, at_ns: int) -> None:
        """Make an open order smaller where it stands: it holds less, and has this client id from now on."""
        with localcontext(CONTEXT):
            less = order.qty - qty
            hold = order.price * less if order.side == BUY else less
            order.locked -= hold
            self._hold(order, -hold)
        order.qty = qty
        order.amends += 1
        order.updated_ns = self.accounts[order.account].updated_ns = at_ns
        if cl_ord_id != order.cl_ord_id:
            key = (order.account, order.symbol)
            if self.by_client.get((*key, order.cl_ord_id)) == order.order_id:
                del self.by_client[(*key, order.cl_ord_id)]
            order.cl_ord_id = cl_ord_id
            self.by_client[(*key, cl_ord_id)] = order.order_id

    def close(self, order: Order, status: str, at_ns: int) -> None:
        """End an order's life, give back what it held, and forget the oldest closed ones beyond the history."""
        self._hold(order, -order.locked)
        order.locked = ZERO
        order.status = status
        order.updated_ns = self.accounts[order.account].updated_ns = at_ns
        if self.open_orders[(order.account, order.symbol)].pop(order.order_id, None) is None:
            return  # closed before: only the status changes (a filled quote-sized order that emptied the book)
        self._closed.append(order.order_id)
        while len(self._closed) > self._history:
            old = self.orders.pop(self._closed.popleft())
            del self.account_orders[(old.account, old.symbol)][old.order_id]
            client_key = (old.account, old.symbol, old.cl_ord_id)
            if self.by_client.get(client_key) == old.order_id:
                del self.by_client[client_key]
