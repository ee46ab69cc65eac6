"""Chaos: kill processes under load, then let the witnesses testify: the exchange's ledger, the journal, what the clients
received and what the drop copy received. They must agree to the last fill.

world.py    an installation whose parts can be killed          load.py   trades on one session
havoc.py    what to kill and break, when                       gateway.py, traps.py  the gateway that dies at a chosen step
plants.py   known bugs, to prove that the judge can fail       witness.py, check.py  the testimony, the judgement
run.py      one whole run                                      cli.py  `fixgw chaos`
"""
