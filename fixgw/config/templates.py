"""The commented files that `fixgw init` writes. Plain text with a few {fields}."""

from __future__ import annotations

FIRM = """\
# fixgw: the configuration of this installation. `fixgw check DIR` says what is wrong in it and where.
# Quantities, prices and amounts are text ("0.5") or integers, never TOML floats. Units stand in the keys.
firm = "{firm}"

[fix]
listen_host = "{listen_host}"         # plain TCP: keep it on loopback or on a private network
listen_port = {listen_port}                   # 0: any free port, told in run/ready.json
gateway_comp_id = "FIXGW"         # TargetCompID(56) of the clients, unless a session says otherwise
frame_cap_bytes = 65536           # a longer message ends the connection
logon_deadline_s = 5              # a connection without a Logon(A) by then is closed
write_cap_bytes = 1048576         # while a client has more than this unread, its session waits ...
slow_reader_s = 10                # ... and a client that takes nothing for this long is dropped
max_connections = 512
raw_log_mb = 64                   # log/fix/SESSION.log begins a new file at this size ...
raw_log_files = 5                 # ... and so many are kept: archive them elsewhere if you must keep all

[journal]
sync = "commit"                   # "commit": survives a power cut; "os": survives the crash of a process, faster
segment_mb = 64                   # size of one journal file, allocated in advance
reserve_mb = 64                   # kept free, so that fills and cancels go on when the disk is full
snapshot_every_records = 200000   # snapshots keep restarts short
archive = true                    # compress segments that every kept snapshot covers

[risk]
# The checks in the order in which they run; each is a module of fixgw/risk. One that is left out is not run,
# and `fixgw check` refuses the limits that it would enforce.
stages = [
    "session_state", "throttle", "entitlements", "order_qty", "staleness", "notional",
    "collar", "repeated_order", "open_orders", "position", "buying_power",
]

[engine]
max_order_age_s = 30              # an unseen possible resend (97=Y, 43=Y) older than this is refused
cl_ord_id_retention_days = 7      # a ClOrdID(11) may not come again within this time after its order finished
inbox_max = 20000                 # commands waiting for the engine; beyond it new orders are refused
inbox_reserved = 5000             # places of these that only cancels and venue reports may take

# Limits of the whole firm: what all sessions have together. A limit that is left out is not enforced.
# By instrument, {{ "BTC/USDT" = "10", "*" = "1000" }}; "*" is the rest. One number holds for all instruments:
# for each by itself, but max_open_notional for all of one quote currency together (so does its "*").
[limits]
max_open_notional = "{firm_open_notional}"    # open orders in all instruments of one quote currency, in flight included
max_gross = {{ "BTC/USDT" = "{gross_btc}", "ETH/USDT" = "{gross_eth}" }}   # base currency, |position| + all open orders
max_open_orders = {firm_open_orders}
msgs_per_s = {firm_rate}                 # of all sessions together, on average ...
msg_burst = {firm_burst}                  # ... and at once; also repeat_max and repeat_window_ms, as in sessions/NAME.toml

# What the firm may trade, whatever a session may; by list, as in sessions/NAME.toml. An account has [accounts.entitlements].
# [entitlements]
# sides = ["buy", "sell"]

[[instruments]]
symbol = "BTC/USDT"
base = "BTC"
quote = "USDT"
venues = ["{venue}"]                  # where it may be executed
trigger = "last"                  # what stops watch: "last", "bid" or "ask"

[[instruments]]
symbol = "ETH/USDT"
base = "ETH"
quote = "USDT"
venues = ["{venue}"]
trigger = "last"

# Our name for one account at one venue; sessions map Account(1) to it.
[[accounts]]
name = "{account}"
venue = "{venue}"
venue_account = "main"            # as `account` in venues/{venue}.toml

[accounts.limits]
buying_power = true               # refuse what the venue account's available balance does not cover

# What decisions must know of a venue beyond venues/{venue}.toml.
[[venues]]
name = "{venue}"
taker_fee_bps = "10"              # kept back when an order is sized by cash, CashOrderQty(152)
margin_ms = 1000                  # after recv_window_ms and this, "not found" at the venue begins to count
can_amend = true                  # a replace that only takes from the quantity keeps its priority (Binance spot can)
"""

SIMULATOR = """
# The simulated exchange that `fixgw run` starts; venues/{venue}.toml is pointed at it.
[simulator]
enabled = true
venue = "{venue}"
liquidity = "static"              # "static", "synthetic" (seeded random flow) or "replay" (with replay = "FILE")
seed = 1
port = 0                          # 0: any free port, told in run/ready.json
balances = {{ "BTC" = "100", "ETH" = "1000", "USDT" = "10000000" }}
"""

TRADING_SESSION = """\
# One FIX counterparty that sends orders. On the wire: {begin_string}, SenderCompID(49) {name}, TargetCompID(56) FIXGW.
name = "{name}"
role = "trading"
begin_string = "{begin_string}"{appl_ver}
client_comp_id = "{name}"
gateway_comp_id = "FIXGW"
enabled = true
heartbeat_min_s = 1               # HeartBtInt(108) outside these bounds is refused at logon
heartbeat_max_s = 3600
cancel_on_disconnect = false      # true: open orders are canceled when the connection is lost
user_defined_fields = "reject"    # "ignore": tags of 5000 and above that fixgw does not know pass, and mean nothing to it
codes = "newest"                  # "published": only codes that the FIX version was published with, for stock dictionaries
roll_time = "00:00"               # UTC; when Day orders end
default_account = "{account}"       # where orders without Account(1) go

# Account(1) of the client -> our account
[accounts]
"{account}" = "{account}"

# BTC/USDT, BTC-USDT, BTCUSDT, BTC/USD, BTC-USD and BTCUSD are understood anyway; further names of the client:
[symbols]
"XBTUSDT" = "BTC/USDT"

# What it may trade; a list that is left out does not restrict.
[entitlements]
symbols = ["BTC/USDT", "ETH/USDT"]
venues = ["{venue}"]
sides = ["buy", "sell"]
ord_types = ["market", "limit", "stop", "stop_limit"]
tifs = ["day", "gtc", "ioc", "fok", "gtd"]

# Refusals name the limit, the value and the tag. A limit that is left out is not enforced.
[limits]
max_order_qty = {{ "BTC/USDT" = "{qty_btc}", "ETH/USDT" = "{qty_eth}" }}   # base currency, one order
max_notional = "{notional}"          # quote currency, one order; market and stop orders at the reference price
max_open_notional = "{open_notional}"    # open orders in all instruments of one quote currency together
max_gross = {{ "BTC/USDT" = "{gross_btc}", "ETH/USDT" = "{gross_eth}" }}   # |position| + all open orders
max_net = {{ "BTC/USDT" = "{gross_btc}", "ETH/USDT" = "{gross_eth}" }}     # |position| if all orders of a side fill
collar_bps = "{collar}"               # a limit price may be this far through the reference price, 100 = 1 %
max_open_orders = {open_orders}
msgs_per_s = {rate}                  # on average ...
msg_burst = {burst}                   # ... and at once
repeat_max = {repeat}                 # equal symbol, side, quantity and price: at most so many ...
repeat_window_ms = 1000           # ... within this time
max_quote_age_ms = 10000          # older market data cannot value or collar an order
buying_power = true               # refuse what the venue account's available balance does not cover
"""

DROP_COPY_SESSION = """\
# A read-only FIX counterparty (a prime broker): it gets the ExecutionReports in its scope, CopyMsgIndicator(797)=Y.
# On the wire: {begin_string}, SenderCompID(49) {name}, TargetCompID(56) FIXGW.
name = "{name}"
role = "drop_copy"
begin_string = "{begin_string}"{appl_ver}
client_comp_id = "{name}"
gateway_comp_id = "FIXGW"
enabled = true
heartbeat_min_s = 1
heartbeat_max_s = 3600
codes = "newest"                  # "published": only codes that the FIX version was published with, for stock dictionaries

# Whose reports are copied: names of sessions, names of accounts; "*" is all.
[scope]
sessions = ["*"]
accounts = []
"""

SIM_VENUE = """\
# A venue: the simulated exchange, which speaks the Binance spot dialect. Its address is filled in by `fixgw run`.
kind = "ccxt"
exchange = "binance"
account = "main"                  # the venue account whose keys these are
symbols = ["BTC/USDT", "ETH/USDT"]
# Keys stand in files that only the owner can read (or in the environment: api_key_env, secret_env), never here.
api_key_file = "../secrets/{venue}.key"
secret_file = "../secrets/{venue}.secret"
recv_window_ms = 5000             # how long after sending the venue may still accept an order
"""

BINANCE_VENUE = """\
# A venue: an exchange that ccxt knows and that takes our order ids (`fixgw check` tells). Give it keys that may trade and
# read, and may not withdraw.
kind = "ccxt"
exchange = "binance"
account = "main"                  # the venue account whose keys these are
symbols = ["BTC/USDT", "ETH/USDT"]
# Keys stand in the environment of `fixgw run` (or in files: api_key_file, secret_file), never here.
api_key_env = "BINANCE_API_KEY"
secret_env = "BINANCE_API_SECRET"
# What other exchanges need besides stands at the end of this file, by ccxt's names (`fixgw check` tells what is missing):
# [credentials]
# uid = "env:NAME"                # or "file:PATH"; also login, accountId, token, twofa, privateKey, walletAddress
recv_window_ms = 5000             # how long after sending the venue may still accept an order
max_orders_per_10s = 0            # new orders sent in any 10 s, at most; 0: as many as the venue says that it takes
"""
