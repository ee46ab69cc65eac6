"""python -m fixgw.sim"""

from fixgw.sim.cli import sim

if __name__ == "__main__":
    sim(prog_name="python -m fixgw.sim")
