"""Soak: steady load with reconnects and venue faults for as long as one likes; what grows is measured and drawn.

run.py      one run              sample.py  what one look at the processes gives        latency.py  order -> first report
trend.py    does it grow?        draw.py    the picture                                 cli.py      `fixgw soak`
gateway.py  the gateway with a short memory for finished orders, so that what must be kept does not hide what leaks
"""
