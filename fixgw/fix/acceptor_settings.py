"""The sessions as the acceptor needs them, and QuickFIX's settings made of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import quickfix as fix

from fixgw.fix.dictionary import FILES, fix_specs_dir
from fixgw.fix.outbound import Version, version_of


class AcceptorSession(msgspec.Struct, frozen=True, kw_only=True):
    """One FIX session. `role` is "trading" or "drop_copy"; the scopes are a drop copy's ("*": all). `appl_ver` is
    "FIX.5.0SP2" when begin_string is "FIXT.1.1". `user_defined_fields`: "reject" or "ignore" tags of 5000 and above that our
    dictionary does not define. `codes`: see version_of."""

    name: str
    begin_string: str
    client_comp_id: str
    gateway_comp_id: str
    appl_ver: str = ""
    role: str = "trading"
    scope_sessions: frozenset[str] = frozenset()
    scope_accounts: frozenset[str] = frozenset()
    user_defined_fields: str = "reject"
    codes: str = "newest"
    # by its file; operations disable and enable it besides
    enabled: bool = True

    @property
    def version(self) -> Version:
        """Raises KeyError for a version that we do not speak."""
        return version_of(self.begin_string, self.appl_ver, self.codes)

    @property
    def session_id(self) -> fix.SessionID:
        return fix.SessionID(self.begin_string, self.gateway_comp_id, self.client_comp_id)

    @property
    def wire_id(self) -> str:
        """As QuickFIX prints it: BEGIN:SENDER->TARGET."""
        return f"{self.begin_string}:{self.gateway_comp_id}->{self.client_comp_id}"


# ThreadedSocketAcceptor begins to listen on all interfaces (loopback.py mends that); until then AllowedRemoteAddresses makes
# it drop any Logon from elsewhere before the session sees it.
_DEFAULT: Final = """[DEFAULT]
ConnectionType=acceptor
SocketAcceptPort={port}
SocketReuseAddress=Y
SocketNodelay=Y
AllowedRemoteAddresses=127.0.0.1
NonStopSession=Y
UseDataDictionary=Y
ValidateFieldsHaveValues=Y
ValidateFieldsOutOfOrder=Y
AllowUnknownMsgFields=N
CheckCompID=Y
CheckLatency=Y
MaxLatency=120
ResetOnLogon=N
ResetOnLogout=N
ResetOnDisconnect=N
RefreshOnLogon=N
PersistMessages=Y
SendRedundantResendRequests=N
TimestampPrecision=6
FileStorePath={store}
"""
_SESSION: Final = """[SESSION]
BeginString={spec.begin_string}
SenderCompID={spec.gateway_comp_id}
TargetCompID={spec.client_comp_id}
ValidateUserDefinedFields={user_defined}
"""


def settings_text(sessions: Iterable[AcceptorSession], port: int, store: Path) -> str:
    """QuickFIX's configuration text."""
    specs = fix_specs_dir()
    text = _DEFAULT.format(port=port, store=store)
    for spec in sessions:
        text += _SESSION.format(spec=spec, user_defined="N" if spec.user_defined_fields == "ignore" else "Y")
        files = [specs / f"{name}.xml" for name in FILES[spec.begin_string]]
        if len(files) == 1:
            text += f"DataDictionary={files[0]}\n"
        else:
            text += f"DefaultApplVerID={spec.appl_ver}\nTransportDataDictionary={files[0]}\nAppDataDictionary={files[1]}\n"
    return text
