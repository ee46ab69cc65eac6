"""Measuring: `fixgw bench order-path` and `fixgw bench recovery`. Each measures its reference in the same run, because only
ratios under equal conditions mean something.

    cli.py            the commands                    order_path.py   who takes part, the rounds, the figures
    firm.py           the configuration measured      oms.py          the client: a process, raw sockets
    party.py          a gateway or a reference        reference.py    the bare QuickFIX acceptor, a process
    gateway_profile.py  the gateway with timers       recovery.py     restarts; recovery_journal.py, recovery_start.py
"""
