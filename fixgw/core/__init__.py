"""The functional core: `decide(state, command) -> events` and `evolve(state, event)`.

No clock, no randomness, no I/O, no float money. Time, prices and venue reports come in as command data, stamped at the
edge. Replaying the journaled events gives the same state, byte for byte. Only the standard library and msgspec here.
"""
