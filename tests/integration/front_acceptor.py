"""A small QuickFIX acceptor that stands for the gateway behind the front, in tests of the front and its clients.

New orders are acknowledged; a price of 100 and more, or none, fills at once; a quantity above 1000 is rejected. At a price
of 13 it answers 35=j with a ReasonCode (nothing was done), at 14 without one (the outcome is not known).
"""

import ctypes
import itertools
import socket
import threading
from typing import Any

import quickfix

from fixgw.fix.dictionary import fix_specs_dir

SESSIONS = {"OMS42": "FIX.4.2", "OMS44": "FIX.4.4", "OMS50": "FIXT.1.1"}
SOH = "\x01"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Acceptor(quickfix.Application):
    def __init__(self, prefix: str = "") -> None:
        super().__init__()
        self.prefix = prefix  # of the client CompIDs: QuickFIX knows a session once in a process
        self.received: list[dict[str, str]] = []
        self.logons: list[dict[str, str]] = []
        self.errors: list[Exception] = []
        self.orders: dict[str, dict[str, str]] = {}
        self.exec_ids = itertools.count(1)
        self.local = threading.local()
        specs = fix_specs_dir()
        lines = ["[DEFAULT]", "ConnectionType=acceptor", "SocketAcceptPort=PORT", "NonStopSession=Y"]
        lines += ["SocketNodelay=Y", "SocketAcceptHost=127.0.0.1", "SocketReuseAddress=Y"]
        for name, begin in SESSIONS.items():
            lines += ["[SESSION]", f"BeginString={begin}", "SenderCompID=FIXGW", f"TargetCompID={prefix}{name}"]
            if begin == "FIXT.1.1":
                lines += ["DefaultApplVerID=FIX.5.0SP2", f"TransportDataDictionary={specs / 'FIXT11.xml'}"]
                lines += [f"AppDataDictionary={specs / 'FIX50SP2.xml'}"]
            else:
                lines.append(f"DataDictionary={specs / (begin.replace('.', '') + '.xml')}")
        self.store = quickfix.MemoryStoreFactory()
        for left in reversed(range(5)):
            self.port = free_port()
            self.settings = quickfix.SessionSettings()
            self.settings.setFromString("\n".join(lines).replace("PORT", str(self.port)) + "\n")
            self.acceptor = quickfix.ThreadedSocketAcceptor(self, self.store, self.settings)
            try:
                self.acceptor.start()
            except quickfix.RuntimeError:  # somebody else has taken it since
                if not left:
                    raise
            else:
                break

    def front_sessions(self) -> list[dict[str, object]]:
        return [
            {"begin_string": begin, "client_comp_id": self.prefix + name, "gateway_comp_id": "FIXGW", "name": name}
            for name, begin in SESSIONS.items()
        ]

    def stop(self) -> None:
        self.acceptor.stop()

    def onCreate(self, session: Any) -> None:
        pass

    def onLogon(self, session: Any) -> None:
        ctypes.pythonapi.PyGILState_Ensure()

    def onLogout(self, session: Any) -> None:
        pass

    def toAdmin(self, message: Any, session: Any) -> None:
        pass

    def toApp(self, message: Any, session: Any) -> None:
        pass

    def fromAdmin(self, message: Any, session: Any) -> None:
        fields = parse(message)
        if fields["35"] == "A":
            self.logons.append(fields)

    def fromApp(self, message: Any, session: Any) -> None:
        try:
            fields = parse(message)
            self.received.append(fields)
            self.answer(fields, session)
        except Exception as error:
            self.errors.append(error)

    def answer(self, fields: dict[str, str], session: Any) -> None:
        begin = fields["8"]
        if fields["35"] == "D":
            order = {"37": f"O{fields['11']}", **{tag: fields[tag] for tag in ("11", "54", "55")}}
            order |= {"38": fields.get("38", "1"), "14": "0", "39": "0"}
            if fields.get("44") in ("13", "14"):
                reject = {"35": "j", "45": fields["34"], "372": "D", "380": "8", "379": fields["11"], "58": "too fast"}
                self.send(begin, session, reject | ({"20001": "THROTTLE"} if fields["44"] == "13" else {}))
                return
            self.orders[fields["11"]] = order
            if float(order["38"]) > 1000:
                reason = {"58": "too much", "20001": "QTY_MAX", "20002": "38", "20003": order["38"], "20004": "1000"}
                self.report(begin, session, order, "8", "8", {"103": "99", **reason})
                return
            self.report(begin, session, order, "0", "0")
            if float(fields.get("44", "100")) >= 100:
                order["14"] = order["38"]
                fill = {"32": order["38"], "31": fields.get("44", "100")}
                self.report(begin, session, order, "2" if begin == "FIX.4.2" else "F", "2", fill)
        elif fields["35"] == "H":
            order = self.orders[fields["11"]]
            self.report(begin, session, order, order["39"] if begin == "FIX.4.2" else "I", order["39"], trans_type="3")
        else:
            order = self.orders.get(fields["41"], {})
            if order.get("39") not in ("0", "5"):
                reject = {"35": "9", "37": order.get("37", "NONE"), "11": fields["11"], "41": fields["41"]}
                kind = "1" if fields["35"] == "F" else "2"
                self.send(begin, session, reject | {"39": order.get("39", "8"), "434": kind, "102": "1"})
                return
            order["11"] = fields["11"]
            self.orders[fields["11"]] = order
            if fields["35"] == "G":
                order["38"] = fields.get("38", order["38"])
                terms = {"41": fields["41"], "44": fields.get("44", "1")}
                self.report(begin, session, order, "5", "5" if begin == "FIX.4.2" else "0", terms)
            else:
                self.report(begin, session, order, "4", "4", {"41": fields["41"]})

    def report(
        self,
        begin: str,
        session: Any,
        order: dict[str, str],
        exec_type: str,
        status: str,
        extra: dict[str, str] | None = None,
        trans_type: str = "0",
    ) -> None:
        order["39"] = status
        leaves = "0" if status in "248" else order["38"]
        fields = {"35": "8", "37": order["37"], "17": f"E{next(self.exec_ids)}", "150": exec_type, "39": status}
        fields |= {tag: order[tag] for tag in ("11", "54", "55", "38", "14")} | {"151": leaves, "6": "100"}
        if begin == "FIX.4.2":
            fields["20"] = trans_type
        self.send(begin, session, fields | (extra or {}))

    def send(self, begin: str, session: Any, fields: dict[str, str]) -> None:
        body = SOH.join(f"{tag}={value}" for tag, value in fields.items())
        quickfix.Session.sendToTarget(quickfix.Message(f"8={begin}{SOH}9=0{SOH}{body}{SOH}10=000{SOH}", False), session)


def parse(message: Any) -> dict[str, str]:
    return dict(part.split("=", 1) for part in message.toString().split(SOH)[:-1])
