"""How the FIX versions differ in what we send. Reports carry FIX 4.4 characters; FIX 4.2 says some of it otherwise.

what happened      4.4 / 5.0SP2         4.2
fill               150=F                20=0, 150=1 (partial) or 2 (fill)
bust               150=H                20=1, 150=39
correction         150=G                20=2, 150=39
status             150=I                20=3, 150=39
replaced           150=5, 39=0, 1 or 2  20=0, 150=5, 39=5 while nothing is executed, and so in what follows
"""

from __future__ import annotations

from typing import Final, NamedTuple

import quickfix as fix

from fixgw.core.reports import CancelReject, Report
from fixgw.fix.dictionary import FILES, fix_specs_dir

SOH: Final = "\x01"


class Version(NamedTuple):
    """One FIX version as the outbound side needs it. The sets hold the enum values of the version as it was published: our
    own dictionaries know some more, those of counterparties may not."""

    name: str
    begin_string: str
    is_42: bool
    ord_rej: frozenset[int]
    cxl_rej: frozenset[int]
    restatement: frozenset[int]
    business: frozenset[int]
    # for what the version's own standard does not know: a client with the standard's dictionary must not refuse a report
    ord_rej_other: int = 99
    cxl_rej_other: int = 99
    restatement_other: int = 99


VERSIONS: Final = {
    "FIX.4.2": Version(
        name="FIX.4.2",
        begin_string="FIX.4.2",
        is_42=True,
        ord_rej=frozenset(range(9)),
        cxl_rej=frozenset(range(4)),
        restatement=frozenset(range(6)),
        business=frozenset(range(6)),
        ord_rej_other=0,  # broker option
        cxl_rej_other=2,  # broker option
        restatement_other=4,  # broker option
    ),
    "FIX.4.4": Version(
        name="FIX.4.4",
        begin_string="FIX.4.4",
        is_42=False,
        ord_rej=frozenset((*range(12), 13, 14, 15, 99)),
        cxl_rej=frozenset((*range(7), 99)),
        restatement=frozenset((*range(11), 99)),
        business=frozenset(range(8)),
    ),
    "FIX.5.0SP2": Version(
        name="FIX.5.0SP2",
        begin_string="FIXT.1.1",
        is_42=False,
        ord_rej=frozenset((*range(17), *range(18, 30), 99)),
        cxl_rej=frozenset((*range(9), 18, 99)),
        restatement=frozenset((*range(21), 99)),
        business=frozenset((*range(11), 18)),
    ),
}

# codes of a later version that our dictionaries have in this one too: what happened is said more exactly
_NEWER: Final = {
    "FIX.4.2": VERSIONS["FIX.4.2"]._replace(business=frozenset(range(9))),
    "FIX.4.4": VERSIONS["FIX.4.4"]._replace(business=frozenset(range(9)), restatement=frozenset((*range(11), 12, 13, 99))),
}


def version_of(begin_string: str, appl_ver: str = "", codes: str = "published") -> Version:
    """`codes`: "published" with the version, or the "newest" of ours. Raises KeyError for a version that we do not speak."""
    name = appl_ver if begin_string == "FIXT.1.1" else begin_string
    return _NEWER.get(name, VERSIONS[name]) if codes == "newest" else VERSIONS[name]


_dictionaries: dict[str, tuple[fix.DataDictionary, ...]] = {}


def dictionaries(version: Version) -> tuple[fix.DataDictionary, ...]:
    """The dictionary of the version; (transport, application) for FIX 5.0SP2."""
    found = _dictionaries.get(version.name)
    if found is None:
        paths = [str(fix_specs_dir() / f"{name}.xml") for name in FILES[version.begin_string]]
        found = _dictionaries[version.name] = tuple(fix.DataDictionary(path) for path in paths)
    return found


def exec_types(report: Report, version: Version) -> tuple[str, str, str]:
    """ExecTransType(20) ("" where the version has none), ExecType(150), OrdStatus(39)."""
    exec_type, ord_status = report.exec_type, ord_status_of(report, version)
    if not version.is_42:
        return "", exec_type, ord_status
    if exec_type in _TRANSACTIONS_42:
        return _TRANSACTIONS_42[exec_type], ord_status, ord_status
    if exec_type == "F":
        return "0", "2" if _is_complete(report) else "1", ord_status
    return "0", exec_type, ord_status


def ord_status_of(message: Report | CancelReject, version: Version) -> str:
    """OrdStatus(39). FIX 4.2: an order that was replaced and has traded nothing is 5 for as long as nothing happens to it."""
    if not version.is_42 or message.ord_status != "0":
        return message.ord_status
    # reports of older journals do not say `replaced`
    replaced = message.replaced or (isinstance(message, Report) and message.exec_type == "5")
    return "5" if replaced else "0"


_TRANSACTIONS_42: Final = {"H": "1", "G": "2", "I": "3"}


def _is_complete(report: Report) -> bool:
    """False also for a fill that comes after a cancel: leaves is 0, but the order was not filled."""
    if report.leaves_qty > 0:
        return False
    return report.order_qty is None or report.cum_qty >= report.order_qty


def known(value: int, values: frozenset[int], other: int) -> int:
    """`value` if the version has it, else `other`."""
    return value if value in values else other


def is_known(version: Version, tag: int, value: str) -> bool:
    """Whether the version's dictionary has `value` (or each of its space-separated values) for the field."""
    book = dictionaries(version)[-1]
    return value.isascii() and value.isprintable() and all(book.isFieldValue(tag, part) for part in value.split(" "))
