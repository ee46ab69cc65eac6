"""The outcome of a demo as one value: shown, written as JSON, and turned into the exit status."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fixgw.demo.compare import Check
from fixgw.demo.lines import Line
from fixgw.demo.play import Played


@dataclass(slots=True)
class Result:
    """`checks`: drop_copy, ledger and positions, as far as they were reached; `problems`: what fits nowhere else."""

    session: str
    day: list[Played]
    checks: dict[str, Check] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """All came, and nothing else."""
        steps = all(played.state == "ok" and not played.problems for played in self.day)
        return steps and len(self.checks) == 3 and all(c.ok for c in self.checks.values()) and not self.problems

    def as_dict(self) -> dict[str, Any]:
        """The content of --json FILE. Quantities and prices are text."""
        steps = [
            {
                "name": played.step.name.strip(),
                "expected": [_line(line) for line in played.step.expected],
                "came": [_line(seen.line) | {"exec_id": seen.exec_id} for seen in played.came],
                "drop_copy": [seen.exec_id for seen in played.copied],
                "ok": played.state == "ok" and not played.problems,
                "seconds": round(played.seconds, 3),
                "problems": played.problems,
            }
            for played in self.day
        ]
        checks = {name: check.as_dict() for name, check in self.checks.items()}
        head = {"ok": self.ok, "seconds": round(self.seconds, 3), "session": self.session, "problems": self.problems}
        return {**head, "steps": steps, **checks}


def _line(line: Line) -> dict[str, str]:
    told = {
        "what": line.what, "cl_ord_id": line.cl_ord_id, "ord_status": line.status, "cum_qty": line.cum_qty,
        "leaves_qty": line.leaves_qty, "last_qty": line.last_qty, "last_px": line.last_px, "reason": line.reason,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value}
