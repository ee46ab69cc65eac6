"""The journal: what fixgw knows, made durable before anybody is told (see base.py for the interface)."""
