"""`python -m fixgw.demo`: a scripted trading day against the simulated exchange, told live and judged at the end.

scenario.py is the day as data: what is done, and which reports must come. stack.py runs the product as a user would
(`fixgw init --demo`, `fixgw run`). play.py does it over real FIX sessions and keeps what came. compare.py judges: every
report on the drop copy once, the client's fills equal the exchange's own ledger, positions agree. screen.py shows it.
"""
