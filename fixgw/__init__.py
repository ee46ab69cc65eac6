"""fixgw: FIX in, crypto out."""

__version__ = "0.1.0"
