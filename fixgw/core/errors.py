"""Errors that the engine raises towards its callers. Recover: the caller answers its own counterparty."""

from __future__ import annotations


class Overloaded(Exception):
    """The engine's inbox is full: a new order or a replace is refused, cancels and venue reports have reserved places."""


class JournalFull(Exception):
    """The disk has no room for new orders; fills and cancels still go through."""
