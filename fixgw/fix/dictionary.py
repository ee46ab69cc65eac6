"""The FIX dictionaries in fix_specs/: QuickFIX's own, extended by the tables below.

The tables are the source, the XML files are generated: `python -m fixgw.fix.dictionary --write` makes them anew from
the dictionaries that the quickfix package installs, and a test checks that what is checked in is what would be made.
Everything added to a message is optional, so a counterparty with the standard dictionary can still talk to us.
"""

import argparse
import copy
import functools
import sys
import sysconfig
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

VERSIONS: Final = ("FIX42", "FIX44", "FIXT11", "FIX50SP2")
# BeginString(8) -> the dictionaries of session and application, of which some versions have one for both
FILES: Final = {"FIX.4.2": ("FIX42",), "FIX.4.4": ("FIX44",), "FIXT.1.1": ("FIXT11", "FIX50SP2")}
_APPLICATION: Final = ("FIX42", "FIX44", "FIX50SP2")
_LOGON: Final = ("FIX42", "FIX44", "FIXT11")
_REPORT: Final = ("ExecutionReport",)
_REFUSALS: Final = ("ExecutionReport", "OrderCancelReject", "BusinessMessageReject")


class DictionaryError(Exception):
    """A dictionary cannot be found, read or extended; says which one and why."""


@dataclass(frozen=True, slots=True)
class CustomField:
    """A field that the standard does not know, and the messages that carry it."""

    tag: int
    name: str
    type: str
    messages: tuple[str, ...]
    versions: tuple[str, ...]
    meaning: str
    values: tuple[tuple[str, str], ...] = ()


_ON_DISCONNECT: Final = (("Y", "CANCEL_ALL"), ("N", "KEEP"), ("S", "CANCEL_SESSION_ONLY"))

CUSTOM_FIELDS: Final = (
    CustomField(20001, "ReasonCode", "STRING", _REFUSALS, _APPLICATION, "our coded reason"),
    CustomField(20002, "ReasonTag", "INT", _REFUSALS, _APPLICATION, "the tag at fault"),
    CustomField(20003, "ReasonValue", "STRING", _REFUSALS, _APPLICATION, "the value at fault"),
    CustomField(20004, "ReasonLimit", "STRING", _REFUSALS, _APPLICATION, "what would have been allowed"),
    CustomField(20005, "VenueOrderID", "STRING", _REPORT, _APPLICATION, "the venue's id of the order"),
    CustomField(20006, "VenueTradeID", "STRING", _REPORT, _APPLICATION, "the venue's id of the fill"),
    CustomField(20007, "VenueClOrdID", "STRING", _REPORT, _APPLICATION, "the id that we gave the venue"),
    CustomField(20009, "Venue", "STRING", _REPORT, _APPLICATION, "our name of the venue that works the order"),
    CustomField(20010, "FeeCurrency", "STRING", _REPORT, ("FIX42",), "the asset of Commission(12)"),
    CustomField(20008, "CancelOnDisconnect", "CHAR", ("Logon",), _LOGON, "cancel open orders", _ON_DISCONNECT),
    CustomField(8013, "CancelOrdersOnDisconnect", "CHAR", ("Logon",), _LOGON, "as 20008", _ON_DISCONNECT),
    CustomField(9001, "CancelOnDisconnectFlag", "CHAR", ("Logon",), _LOGON, "as 20008", _ON_DISCONNECT),
)


@dataclass(frozen=True, slots=True)
class Extension:
    """What a version's dictionary lacks of the standard's later fields and values.

    fields: (number, name, type) to define; members: message -> field names to admit; groups: message -> group name ->
    members; types: field -> other type; values: field -> enum values (named as in FIX 5.0SP2); renamed: field ->
    enum values that are there under a name that is not theirs (they get that of FIX 5.0SP2); components: those that are
    there without anything in them (they get what FIX 5.0SP2 has in them, the fields too).
    """

    fields: tuple[tuple[int, str, str], ...] = ()
    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    groups: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    renamed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    components: tuple[str, ...] = ()


EXTENSIONS: Final = {
    "FIX42": Extension(
        fields=(
            (553, "Username", "STRING"),
            (554, "Password", "STRING"),
            (789, "NextExpectedMsgSeqNum", "INT"),
            (797, "CopyMsgIndicator", "BOOLEAN"),
        ),
        members={
            "ExecutionReport": ("CopyMsgIndicator", "ExDestination"),
            "OrderCancelRequest": ("ExDestination",),
            "Logon": ("Username", "Password", "NextExpectedMsgSeqNum"),
        },
        groups={"ExecutionReport": {"NoMiscFees": ("MiscFeeAmt", "MiscFeeCurr", "MiscFeeType")}},
        types={"MiscFeeType": "STRING"},  # it was one CHAR, which "10" is not
        values={
            "MiscFeeType": ("10",),
            "CxlRejReason": ("6", "99"),
            "OrdRejReason": ("11", "13", "99"),
            "BusinessRejectReason": ("6", "7", "8"),
            "ExecRestatementReason": ("6", "7", "8", "12", "13", "99"),
            "SecurityType": ("DIGITAL",),
            "IDSource": ("Y",),
        },
        renamed={"CxlRejResponseTo": ("2",)},
    ),
    "FIX44": Extension(
        members={"ExecutionReport": ("ExDestination",), "OrderCancelRequest": ("ExDestination",)},
        values={
            "BusinessRejectReason": ("8",),
            "ExecRestatementReason": ("12", "13"),
            "SecurityType": ("DIGITAL",),
            "SecurityIDSource": ("Y",),
        },
        renamed={"CxlRejResponseTo": ("2",), "SessionRejectReason": ("17",)},
    ),
    # the message types that a Logon may list: NoMsgTypes(384) and its group. QuickFIX has it in FIX50SP2.xml only
    "FIXT11": Extension(components=("MsgTypeGrp",)),
    "FIX50SP2": Extension(),
}


def fix_specs_dir() -> Path:
    """The folder of our dictionaries, in an installed package or in a checkout. Raises DictionaryError."""
    here = Path(__file__).resolve()
    places = (here.parents[1] / "_data" / "fix_specs", here.parents[2] / "fix_specs")
    for place in places:
        if (place / "FIX44.xml").is_file():
            return place
    raise DictionaryError(f"FIX dictionaries: not found, expected FIX44.xml in {' or '.join(map(str, places))}")


def tree(version: str) -> ET.Element:
    """Our dictionary of one of VERSIONS, as it is. Raises DictionaryError."""
    return _parse(fix_specs_dir() / f"{version}.xml")


def base_dir() -> Path:
    """The folder of the dictionaries that the quickfix package installs. Raises DictionaryError."""
    place = Path(sysconfig.get_path("data")) / "share" / "quickfix"
    if not (place / "FIX44.xml").is_file():
        raise DictionaryError(f"QuickFIX's own dictionaries: not found, expected FIX44.xml in {place}")
    return place


def generate(version: str, base: Path | None = None) -> str:
    """The text of our dictionary of a version ("FIX42", ...), made from QuickFIX's and the tables above."""
    folder = base or base_dir()
    root = _parse(folder / f"{version}.xml")
    extension = EXTENSIONS[version]
    fields = _child(root, "fields", version)
    defined = {str(element.get("name")): element for element in fields}
    numbers = {str(element.get("number")): name for name, element in defined.items()}
    custom = [entry for entry in CUSTOM_FIELDS if version in entry.versions]
    for number, name, kind in (*extension.fields, *((entry.tag, entry.name, entry.type) for entry in custom)):
        if name in defined or str(number) in numbers:
            raise DictionaryError(f"{version}: field {number} {name} is defined already")
        defined[name] = ET.SubElement(fields, "field", number=str(number), name=name, type=kind)
        numbers[str(number)] = name
    if extension.components:
        _fill_components(root, version, extension.components, defined, _parse(folder / "FIX50SP2.xml"))
    for name, kind in extension.types.items():
        defined[name].set("type", kind)
    names = _value_names(folder) if extension.values or extension.renamed else {}
    for name, values in extension.values.items():
        known = names[str(defined[name].get("number"))]
        _add_values(defined[name], tuple((value, known[value]) for value in values))
    for name, values in extension.renamed.items():
        _rename_values(defined[name], {value: names[str(defined[name].get("number"))][value] for value in values})
    for entry in custom:
        _add_values(defined[entry.name], entry.values)
    messages = {str(element.get("name")): element for element in _child(root, "messages", version)}
    for message, members in extension.members.items():
        _add_members(messages[message], members, defined)
    for message, groups in extension.groups.items():
        for group, members in groups.items():
            element = ET.SubElement(messages[message], "group", name=group, required="N")
            _add_members(element, members, defined)
    for entry in custom:
        for message in entry.messages:
            if message in messages:
                _add_members(messages[message], (entry.name,), defined)
    ET.indent(root, " ")
    return f"<!-- generated by python -m fixgw.fix.dictionary; do not edit -->\n{ET.tostring(root, 'unicode')}\n"


def _fill_components(
    root: ET.Element, version: str, names: tuple[str, ...], defined: dict[str, ET.Element], newest: ET.Element
) -> None:
    """Empty components get their members, and the fields that these need, from the newest dictionary."""
    here = {str(element.get("name")): element for element in _child(root, "components", version)}
    there = {str(element.get("name")): element for element in _child(newest, "components", "FIX50SP2")}
    known = {str(element.get("name")): element for element in _child(newest, "fields", "FIX50SP2")}
    fields = _child(root, "fields", version)
    for name in names:
        if name not in here or len(here[name]) or name not in there:
            raise DictionaryError(f"{version}: component {name} is not there, not empty, or unknown to FIX50SP2")
        here[name].extend(copy.deepcopy(list(there[name])))
        for member in here[name].iter():
            wanted = str(member.get("name"))
            if member.tag in ("field", "group") and wanted not in defined:
                defined[wanted] = copy.deepcopy(known[wanted])
                fields.append(defined[wanted])


def _add_values(element: ET.Element, values: tuple[tuple[str, str], ...]) -> None:
    present = {value.get("enum") for value in element}
    for enum, description in values:
        if enum in present:
            raise DictionaryError(f"field {element.get('name')}: value {enum} is there already")
        ET.SubElement(element, "value", enum=enum, description=description)


def _rename_values(element: ET.Element, names: dict[str, str]) -> None:
    present = {str(value.get("enum")): value for value in element}
    for enum, description in names.items():
        if enum not in present or present[enum].get("description") == description:
            raise DictionaryError(f"field {element.get('name')}: value {enum} is not there, or called {description} already")
        present[enum].set("description", description)


def _add_members(element: ET.Element, members: tuple[str, ...], defined: dict[str, ET.Element]) -> None:
    present = {member.get("name") for member in element}
    for name in members:
        if name in present or name not in defined:
            raise DictionaryError(f"{element.get('name')}: field {name} is there already or not defined")
        ET.SubElement(element, "field", name=name, required="N")


def _value_names(folder: Path) -> dict[str, dict[str, str]]:
    """What FIX 5.0SP2 calls the values of each field number: {"139": {"10": "PER_TRANSACTION", ...}, ...}"""
    fields = _child(_parse(folder / "FIX50SP2.xml"), "fields", "FIX50SP2")
    return {
        str(element.get("number")): {str(value.get("enum")): str(value.get("description")) for value in element}
        for element in fields
    }


def _parse(path: Path) -> ET.Element:
    try:
        return ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise DictionaryError(f"{path}: cannot be read: {error}") from error


def _child(root: ET.Element, name: str, where: str) -> ET.Element:
    element = root.find(name)
    if element is None:
        raise DictionaryError(f"{where}: has no <{name}>")
    return element


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Names for people: tag -> field name, tag -> value -> name, MsgType -> message name."""

    fields: dict[int, str]
    values: dict[int, dict[str, str]]
    messages: dict[str, str]
    types: dict[int, str]

    def field_name(self, tag: int) -> str:
        return self.fields.get(tag, "")

    def value_name(self, tag: int, value: str) -> str:
        """The name of an enum value; of each one of a list of values ("6 G"); "" where it has none."""
        names = self.values.get(tag)
        if names is None:
            return ""
        if value not in names and " " in value:
            return " ".join(names.get(part, "?") for part in value.split())
        return names.get(value, "")


@functools.lru_cache(maxsize=8)
def load(version: str) -> Dictionary:
    """Names of one of VERSIONS; "FIX50SP2" has those of FIXT11 (session messages) too. Raises DictionaryError."""
    if version not in VERSIONS:
        raise DictionaryError(f"FIX dictionary: {version!r}, expected one of {', '.join(VERSIONS)}")
    fields: dict[int, str] = {}
    values: dict[int, dict[str, str]] = {}
    messages: dict[str, str] = {}
    types: dict[int, str] = {}
    for part in ("FIXT11", "FIX50SP2") if version == "FIX50SP2" else (version,):
        root = tree(part)
        for element in _child(root, "fields", part):
            tag = int(str(element.get("number")))
            fields[tag], types[tag] = str(element.get("name")), str(element.get("type"))
            if len(element):
                values[tag] = {str(value.get("enum")): str(value.get("description")) for value in element}
        for element in _child(root, "messages", part):
            messages[str(element.get("msgtype"))] = str(element.get("name"))
    return Dictionary(fields, values, messages, types)


def main(argv: list[str] | None = None) -> int:
    """Checks fix_specs/ against the tables, or writes it. Exit status 1: a file differs, or something cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m fixgw.fix.dictionary", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write the files instead of checking them")
    parser.add_argument("--to", type=Path, help="folder of the files (default: fix_specs of this checkout)")
    options = parser.parse_args(argv)
    folder: Path = options.to or Path(__file__).resolve().parents[2] / "fix_specs"
    status = 0
    try:
        for version in VERSIONS:
            path, text = folder / f"{version}.xml", generate(version)
            if options.write:
                folder.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                print(f"wrote {path}")
            elif not path.is_file() or path.read_text(encoding="utf-8") != text:
                print(f"{path}: differs from the tables; python -m fixgw.fix.dictionary --write", file=sys.stderr)
                status = 1
    except DictionaryError as error:
        print(error, file=sys.stderr)
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
