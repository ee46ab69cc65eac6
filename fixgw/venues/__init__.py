"""Venues: one process per venue (the venue host) behind a small Protocol; see base.py, host.py and wire.py."""
