"""Pre-trade risk: see base.py. One pure check per file; the order of the stages stands in the configuration."""
