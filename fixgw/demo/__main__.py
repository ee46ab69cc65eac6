"""Entry of `python -m fixgw.demo`."""

from fixgw.demo.command import demo

demo(prog_name="scripts/demo")
