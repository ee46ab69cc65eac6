"""Chaos: kill processes under load, then let four witnesses testify: the exchange's ledger, the journal, what the client
received and what the drop copy received. They must agree to the last fill.

world.py runs an installation and kills its parts; load.py trades; check.py compares; cli.py is `fixgw chaos`.
"""
