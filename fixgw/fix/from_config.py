"""The acceptor's view of the configuration."""

from __future__ import annotations

from fixgw.config import Config
from fixgw.fix.acceptor_settings import AcceptorSession


def acceptor_session(config: Config, name: str) -> AcceptorSession:
    """The session `name` of the configuration. Raises KeyError."""
    session = config.sessions[name]
    scope = session.scope
    return AcceptorSession(
        name=name,
        begin_string=session.begin_string,
        client_comp_id=session.client_comp_id,
        gateway_comp_id=config.gateway_comp_id(session),
        appl_ver=session.appl_ver or "",
        role=session.role,
        user_defined_fields=session.user_defined_fields,
        codes=session.codes,
        enabled=session.enabled,
        scope_sessions=frozenset(scope.sessions) if scope else frozenset(),
        scope_accounts=frozenset(scope.accounts) if scope else frozenset(),
    )
