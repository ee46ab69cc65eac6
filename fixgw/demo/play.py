"""Plays the day over real FIX sessions: the client that trades, and the prime broker that gets the drop copy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from fixgw.admin.client import AdminClient, NotRunning
from fixgw.admin.protocol import AdminError
from fixgw.config.paths import Paths
from fixgw.demo import lines
from fixgw.demo.lines import Line
from fixgw.demo.scenario import Cancel, Fault, Kill, Order, Replace, Resume, Step, Street
from fixgw.fix.client import ClientError, FixClient, FixMessage
from fixgw.sim.client import SimClient, SimError

BEGIN_STRINGS: Final = {"OMS42": "FIX.4.2", "OMS44": "FIX.4.4", "OMS50": "FIXT.1.1"}
DROP_COPY: Final = "PB44"
GATEWAY: Final = "FIXGW"
_LOGON_S: Final = 15.0
_SETTLE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A message that came, and what it says."""

    line: Line
    message: FixMessage

    @property
    def is_report(self) -> bool:
        return self.message.msg_type == "8"

    @property
    def exec_id(self) -> str:
        return self.message.get(17)


class Inbox:
    """What one session has received of application messages, in order. Filled by the FIX engine's thread."""

    def __init__(self, condition: threading.Condition, told: Callable[[Seen], None] | None = None) -> None:
        self._condition = condition
        self._told = told
        self.seen: list[Seen] = []
        self.heartbeats: set[str] = set()

    def receive(self, message: FixMessage) -> None:
        """Keep an application message; note which of our TestRequests a Heartbeat answers."""
        with self._condition:
            if message.msg_type == "0":
                self.heartbeats.add(message.get(112))
            if message.msg_type in lines.APPLICATION:
                self.seen.append(Seen(lines.read(message), message))
                if self._told is not None:
                    self._told(self.seen[-1])
            self._condition.notify_all()


@dataclass(slots=True)
class Played:
    """A step and what became of it. `first`, `copy_first`: how many messages had come before it."""

    step: Step
    state: str = "waiting"
    first: int = 0
    copy_first: int = 0
    began_ns: int = 0
    seconds: float = 0.0
    came: list[Seen] = field(default_factory=list)
    copied: list[Seen] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def judge(self) -> bool:
        """Compare; the differences stand in `problems`."""
        expected, came = list(self.step.expected), [seen.line for seen in self.came]
        if self.step.any_order:
            expected, came = sorted(expected, key=str), sorted(came, key=str)
        if expected != came:
            missing = [line for line in expected if line not in came]
            added = [line for line in came if line not in expected]
            self._differ([f"missing: {line.full()}" for line in missing])
            self._differ([f"not expected: {line.full()}" for line in added])
            if not missing and not added:
                self._differ(["the right reports, in the wrong order or number"])
        told = [seen.exec_id for seen in self.came if seen.is_report]
        copied = [seen.exec_id for seen in self.copied]
        if told != copied:
            self._differ([f"drop copy: ExecIDs {copied}, the client got {told}"])
        return not self.problems

    def _differ(self, problems: list[str]) -> None:
        self.problems += [problem for problem in problems if problem not in self.problems]


class Day:
    """The two FIX sessions, the exchange's control interface and the admin socket."""

    def __init__(self, session: str, paths: Paths, ready: dict[str, Any], told: Callable[[Seen], None]) -> None:
        self.session = session
        self._condition = threading.Condition()
        self.inbox, self.copies = Inbox(self._condition, told), Inbox(self._condition)
        host, port = ready["fix"]["host"], ready["fix"]["port"]
        # the numbers go on in `fixgw oms DIR SESSION`, which keeps them there
        self.client = FixClient(
            host, port, BEGIN_STRINGS[session], session, GATEWAY,
            store_dir=paths.run / f"oms-{session}", on_message=self.inbox.receive,
        )  # fmt: skip
        self.broker = FixClient(
            host, port, "FIX.4.4", DROP_COPY, GATEWAY,
            store_dir=paths.run / f"oms-{DROP_COPY}", on_message=self.copies.receive,
        )  # fmt: skip
        self.sim = SimClient(ready["simulator"]["host"], ready["simulator"]["port"])
        self._admin_path = ready["admin"]

    def connect(self) -> None:
        """Log both sessions on. Raises ClientError."""
        self.broker.start()
        self.client.start()
        self.broker.wait_logon(_LOGON_S)
        self.client.wait_logon(_LOGON_S)

    def close(self) -> None:
        """Log both off."""
        self.client.stop()
        self.broker.stop()

    def admin(self, method: str, **params: Any) -> Any:
        """One call of the admin socket. Raises AdminError, NotRunning."""
        with AdminClient(self._admin_path, user="demo") as admin:
            return admin.call(method, **params)

    def play(self, played: Played, deadline: float) -> None:
        """Do the step and wait until what is expected has come, here and on the drop copy, or time is over."""
        step = played.step
        with self._condition:
            played.first, played.copy_first = len(self.inbox.seen), len(self.copies.seen)
        played.state, played.began_ns = "running", time.time_ns()
        began = time.monotonic()
        try:
            faults = [self._do(action) for action in step.actions]
        except (ClientError, SimError, AdminError, NotRunning) as error:
            played.problems.append(f"{type(error).__name__}: {error}")
            faults = []
        until = min(began + step.timeout_s, deadline)
        reports = sum(1 for line in step.expected if line.is_report)
        with self._condition:
            self._condition.wait_for(
                lambda: (
                    len(self.inbox.seen) >= played.first + len(step.expected)
                    and len(self.copies.seen) >= played.copy_first + reports
                ),
                max(0.0, until - time.monotonic()),
            )
        if any(faults):
            self._check_faults(played)
        played.seconds = time.monotonic() - began
        self.collect([played])

    def _check_faults(self, played: Played) -> None:
        """A fault that did not happen would prove nothing."""
        try:
            played.problems += [f"the fault {left['kind']} did not happen" for left in self.sim.faults()]
            self.sim.clear_faults()
        except SimError as error:
            played.problems.append(f"SimError: {error}")

    def collect(self, day: list[Played]) -> None:
        """Give each step the messages that came from its start to the next one's, and judge it."""
        with self._condition:
            seen, copies = list(self.inbox.seen), list(self.copies.seen)
        begun = [played for played in day if played.began_ns]
        for played, after in zip(begun, [*begun[1:], None], strict=True):
            end, copy_end = (after.first, after.copy_first) if after is not None else (len(seen), len(copies))
            played.came, played.copied = seen[played.first : end], copies[played.copy_first : copy_end]
            played.state = "ok" if played.judge() else "failed"

    def settle(self) -> list[str]:
        """Wait until everything sent so far must have come: the answer to a TestRequest comes behind it. What went
        wrong is returned."""
        problems = []
        for client, inbox in ((self.client, self.inbox), (self.broker, self.copies)):
            try:
                client.send({35: "1", 112: "DEMO-END"})
            except ClientError as error:
                problems.append(str(error))
                continue
            with self._condition:
                if not self._condition.wait_for(lambda inbox=inbox: "DEMO-END" in inbox.heartbeats, _SETTLE_S):  # type: ignore[misc]
                    problems.append(f"{client.sender}: no answer to a TestRequest within {_SETTLE_S:.0f} s")
            problems += [f"{client.sender}: the client itself failed: {error!r}" for error in client.errors]
        return problems

    def _do(self, action: object) -> bool:
        """One action; True if it was a fault."""
        if isinstance(action, Order):
            self.client.new_order(
                action.side, action.order_qty, action.symbol, price=action.price,
                time_in_force=action.tif, cl_ord_id=action.cl_ord_id, extra=action.extra,
            )  # fmt: skip
        elif isinstance(action, Replace):
            self.client.replace(action.orig_cl_ord_id, order_qty=action.order_qty, price=action.price, cl_ord_id=action.cl_ord_id)
        elif isinstance(action, Cancel):
            self.client.cancel(action.orig_cl_ord_id, cl_ord_id=action.cl_ord_id)
        elif isinstance(action, Street):
            self.sim.order(action.symbol.replace("/", ""), action.side, action.quantity, action.price)
        elif isinstance(action, Fault):
            self.sim.fault(action.kind, count=1, match=dict(action.match), **action.params)
        elif isinstance(action, Kill):
            self.admin("kill", scope="session", target=self.session, level="HALTED", reason=action.reason)
        elif isinstance(action, Resume):
            self.admin("resume", scope="session", target=self.session, reason=action.reason)
        else:
            raise AssertionError(f"unknown action {action!r}")
        return isinstance(action, Fault)
