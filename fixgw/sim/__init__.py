"""A simulated exchange: one matching engine behind the Binance spot dialect, with faults on demand and a ledger.

Theory of operation
- `matching.Engine` (with `accounts`, `book`, `model`) is the exchange itself: price-time priority, balances, fees. It
  is pure and synchronous: time comes in, events come out, nothing else; a deterministic simulation can drive it.
- `house.House` puts the venue's own liquidity into the same queues; `liquidity` and `replay` decide what it shows:
  a fixed ladder (known prices), a seeded random walk, or a recording.
- `core.Simulator` commits what the engine did: first the line in the ledger, then user data and public events, then
  the reply. So the ledger (`ledger.Ledger`, JSON lines) is the judge of what really happened, whatever faults made
  of the reply; and a simulator killed at any moment comes back on the same directory with every order, trade,
  balance and id that it ever acknowledged.
- `api` is the table of operations (`trading`, `market`), `rest`, `wsapi` and `streams` are the three ways in, `dialect`
  the JSON shapes. All on one port, with `control` under /sim/ for tests, chaos runs and demonstrations.
- `faults.FaultBoard` decides which request or event goes wrong, and how; a fault never changes what the ledger says.
- `client.SimClient` is a small synchronous client of the control interface; `python -m fixgw.sim --help` runs it all.

What is unlike the real exchange: stop, iceberg and list orders do not exist; no kline or 24 h ticker streams; price
bands (PERCENT_PRICE) are not applied; an amend down to what is executed is refused (Binance does not say what it does);
the list of an order's amendments cannot be asked for; history is bounded (oldest closed orders are forgotten); a power cut of the
exchange is not simulated (the ledger is written, not synced).
"""
