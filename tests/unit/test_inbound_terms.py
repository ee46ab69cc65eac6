"""Every field of D and G has a decision, and what would make another order of it is refused."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from fixgw.core.commands import CancelOrder, NewOrder, ReplaceOrder, Unsupported
from fixgw.fix.dictionary import fix_specs_dir
from fixgw.fix.inbound import Context, fields, parse, terms
from fixgw.fix.inbound.new_order_single import parse as parse_new
from fixgw.fix.inbound.order_cancel_replace_request import parse as parse_replace
from fixgw.fix.inbound.order_cancel_request import parse as parse_cancel

TYPES = ("D", "F", "G")
BODY = "11=a1|41=a|38=1|40=2|44=60000|54=1|55=BTC/USDT|60=20260101-00:00:00"
CONTEXT = Context(
    "OMS", 0, 77, lambda _s: {}, order_quotes=lambda *_: {}, currencies=lambda s: {"BTC/USDT": ("USDT", "USD")}.get(s, ())
)


def spec(version: str) -> ET.Element:
    return ET.parse(fix_specs_dir() / f"{version}.xml").getroot()


def members(root: ET.Element, node: ET.Element) -> Iterator[ET.Element]:
    """What stands in a message besides the members of its groups."""
    components = {part.get("name"): part for part in root.find("components") or ()}
    for part in node:
        if part.tag == "component":
            yield from members(root, components[part.get("name")])
        else:
            yield part


def admitted(version: str) -> dict[int, tuple[str, str]]:
    """Tag -> (name, element) of what D, F and G may have by the dictionary."""
    root = spec(version)
    numbers = {str(entry.get("name")): int(str(entry.get("number"))) for entry in root.find("fields") or ()}
    found = {}
    for message in root.find("messages") or ():
        if message.get("msgtype") in TYPES:
            for part in members(root, message):
                found[numbers[str(part.get("name"))]] = (str(part.get("name")), part.tag)
    return found


ADMITTED = {version: admitted(version) for version in ("FIX42", "FIX44", "FIX50SP2")}
REFUSED = [terms.tags(group.fields) | set(group.admitted) for group in terms.REFUSED]


def command(body: str, msg_type: str = "D", begin: str = "FIX.4.4") -> Any:
    raw = f"8={begin}|9=0|35={msg_type}|34=12|49=C|52=20260101-00:00:00|56=FIXGW|{BODY}|{body}|10=000|"
    return parse(raw.replace("|", "\x01"), CONTEXT)


@pytest.mark.parametrize("version", ADMITTED)
def test_every_field_of_the_dictionaries_has_a_decision(version: str) -> None:
    decided = Counter([*terms.USED, *(tag for tags in (*terms.IGNORED.values(), *REFUSED) for tag in tags)])
    assert [tag for tag, times in decided.items() if times > 1] == []
    assert {tag: name for tag, (name, _) in ADMITTED[version].items() if tag not in decided} == {}


def test_no_decision_is_about_a_field_that_nobody_may_send() -> None:
    known = set().union(*ADMITTED.values())
    assert set().union(terms.USED, *terms.IGNORED.values(), *REFUSED) - known == set()


def test_a_group_without_entries_is_no_term() -> None:
    groups = {str(tag) for version in ADMITTED.values() for tag, (_, kind) in version.items() if kind == "group"}
    refused = groups & terms.UNSUPPORTED.keys()
    assert len(refused) > 20 and {tag for tag in refused if terms.UNSUPPORTED[tag] != ("0",)} == set()


def test_what_is_called_used_is_what_the_parsers_read() -> None:
    class Read(dict[str, str]):
        def get(self, tag: str, default: Any = None) -> Any:
            seen.add(int(tag))
            return super().get(tag, default)

    seen: set[int] = set()
    sent = Read(part.split("=") for part in [*BODY.split("|"), "18=6", "58=x", "126=20300101-00:00:00", "37=o"])
    shared = fields.common(sent, CONTEXT, 12)
    for each in (parse_new, parse_replace, parse_cancel):
        each(sent, shared, CONTEXT)
    del sent["126"]
    parse_new(sent, shared, CONTEXT)
    header = {43, 97, 122}
    assert seen - header == terms.USED


def test_data_that_is_ignored_is_read_over_by_its_length() -> None:
    ignored = frozenset().union(*terms.IGNORED.values())
    names = {name: tag for version in ADMITTED.values() for tag, (name, _) in version.items()}
    lengths = {tag: names[name.removesuffix("Len")] for name, tag in names.items() if name.endswith("Len") and tag in ignored}
    assert lengths and lengths.items() <= fields.DATA_FIELDS.items()


@pytest.mark.parametrize(("body", "tag"), [
    ("167=OPT|200=202612|201=1|202=70000", (167, 200, 201, 202)),
    ("167=FUT|200=202612", (167, 200)),
    ("167=CS", 167),
    ("231=10", 231),
    ("461=OCASPS", 461),
    ("461=FXXXXX", 461),
    ("541=20261231", 541),
    ("228=0.5", 228),
    ("120=EUR", 120),
    ("1524=EUR", 1524),
    ("63=3", 63),
    ("64=20261123", 64),
    ("192=1|193=20261123", (192, 193)),
    ("121=Y", 121),
    ("640=55000", 640),
    ("544=2", 544),
    ("775=1", 775),
    ("21=3", 21),
    ("78=1|79=other", 78),
    ("386=1|336=2", 386),
    ("232=1|233=x|234=y", 232),
    ("711=1|311=x", 711),
    ("957=1|958=x|959=1|960=1", 957),
    ("849=0.1", 849),
    ("1102=50000", 1102),
    ("1031=NH AON", 1031),
    ("1031=", 1031),
    ("797=Y", 797),
    ("110=1E0", 110),
    ("110=" + "0" * 31, 110),
])  # fmt: skip
@pytest.mark.parametrize("msg_type", ["D", "G"])
@pytest.mark.parametrize("begin", ["FIX.4.2", "FIX.4.4", "FIXT.1.1"])
def test_what_makes_another_order_is_refused(body: str, tag: int | tuple[int, ...], msg_type: str, begin: str) -> None:
    refused = command(body, msg_type, begin)
    assert isinstance(refused, Unsupported) and refused.reason == "UNSUPPORTED"
    assert refused.tag in (tag if isinstance(tag, tuple) else (tag,))
    assert refused.limit.endswith(("no such field", "the currency of the price"))
    assert refused.request is not None and refused.request.cl_ord_id == "a1"


@pytest.mark.parametrize("body", [
    "167=DIGITAL|460=12|461=IFXXXX", "167=FOR|63=0|120=USDT|15=USDT", "167=FXSPOT|1193=P|1524=USD", "461=TCXXXX",
    "231=1|228=1.0", "231=1.000|110=0.00|211=0|389=0", "21=1", "21=2", "63=1", "121=N|544=1|775=0|854=0|423=2",
    "78=0|386=0|711=0",
    "1=acc|22=Y|48=4H95J0R2X|65=X|76=b|106=i|107=d|109=c|114=N|207=XBIN|47=A|77=O", "528=A|529=1|581=1|582=1|660=99",
    "453=1|448=x|447=D|452=3", "1031=NH|1028=Y|1724=5|797=N", "376=x|439=f|440=a|12=1|13=3|70=a|583=l|81=0|377=Y|427=1|203=0",
])  # fmt: skip
@pytest.mark.parametrize(("msg_type", "kind"), [("D", NewOrder), ("G", ReplaceOrder)])
def test_what_makes_none_passes(body: str, msg_type: str, kind: type) -> None:
    found = command(body, msg_type)
    assert isinstance(found, kind), found


def test_no_term_stands_against_a_cancel() -> None:
    for group in terms.REFUSED:
        for tag in sorted(terms.tags(group.fields) | set(group.admitted)):
            assert isinstance(command(f"{tag}=?", "F"), CancelOrder), tag
            assert isinstance(command(f"{tag}=?"), Unsupported), tag
