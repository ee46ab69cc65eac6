"""fixgw: FIX in, crypto out."""
