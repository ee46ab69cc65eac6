"""What a Logon may hold by its version's dictionary.

To a Logon that the dictionary does not admit QuickFIX says nothing: a Reject needs a session that is logged on. So the front
looks for what it would find (DataDictionary.cpp: iterate) and says why. It finds no more than that, so that whatever
QuickFIX takes is let in; what it leaves to QuickFIX (a number that is none, a group that is not as it says) still ends in
silence.
"""

import functools
import sys
import xml.etree.ElementTree as ET
from typing import Final

import msgspec

from fixgw.fix import dictionary
from fixgw.fix.frames import SOH
from fixgw.fix.front_data import data_fields

# QuickFIX leaves those alone where a session ignores what it does not know
USER_DEFINED: Final = 5000
_SHOWN: Final = 40


class LogonFields(msgspec.Struct, frozen=True):
    """Of a version: `single` may stand in a Logon once, `grouped` in its groups; `values` has those of fields that admit
    certain ones only."""

    single: frozenset[int]
    grouped: frozenset[int]
    names: dict[int, str]
    values: dict[int, frozenset[str]]


@functools.cache
def logon_fields(begin_string: str) -> LogonFields:
    """From the dictionary that QuickFIX has for session messages. Raises DictionaryError."""
    version = dictionary.FILES.get(begin_string, dictionary.FILES["FIXT.1.1"])[0]
    root, known = dictionary.tree(version), dictionary.load(version)
    tags = {name: tag for tag, name in known.fields.items()}
    components = {part.get("name"): part for part in root.iterfind("components/component")}
    single: set[int] = set()
    grouped: set[int] = set()

    def collect(node: ET.Element, into: set[int]) -> None:
        for part in node:
            if part.tag == "component":
                collect(components[part.get("name")], into)
                continue
            into.add(tags[str(part.get("name"))])
            if part.tag == "group":
                collect(part, grouped)

    for path in ("header", "trailer", "messages/message[@msgtype='A']"):
        for node in root.iterfind(path):
            collect(node, single)
    values = {
        tag: frozenset(names)
        for tag, names in known.values.items()
        if tag in single and not known.types[tag].startswith("MULTIPLE")
    }
    return LogonFields(frozenset(single), frozenset(grouped), known.fields, values)


def logon_fault(frame: bytes, begin_string: str, user_defined_fields: str) -> str:
    """Why QuickFIX would not take this Logon by its dictionary; "" where nothing of that kind is found. frame: one without a
    fault of its data fields (front_data.py). user_defined_fields: as in the session's file, "reject" or "ignore"."""
    fields, data = logon_fields(begin_string), data_fields(begin_string).session
    lowest_ignored = USER_DEFINED if user_defined_fields == "ignore" else sys.maxsize
    seen: set[int] = set()
    at = 0
    value = b""
    while at < len(frame):
        equal = frame.find(b"=", at)
        digits = frame[at:equal]
        if equal < 0 or not digits.isdigit():
            return ""
        tag = int(digits[:10])
        end = equal + 1 + int(value) if tag in data else frame.find(SOH, equal)
        if end < 0:
            return ""
        value = frame[equal + 1 : end]
        at = end + 1
        name = f"{fields.names[tag]}({tag})" if tag in fields.names else f"tag {tag}"
        if tag not in fields.single and tag not in fields.grouped and tag < lowest_ignored:
            return f"{name} is no field of a Logon in {begin_string}"
        if not value:
            return f"{name} has no value"
        if tag in seen and tag not in fields.grouped:
            return f"{name} stands in the Logon twice"
        wanted = fields.values.get(tag)
        if wanted is not None and value.decode("latin-1") not in wanted:
            shown = "".join(char if char.isascii() and char.isprintable() else "?" for char in value.decode("latin-1")[:_SHOWN])
            return f"{name} is {shown}, expected {' '.join(sorted(wanted))[:_SHOWN]}"
        seen.add(tag)
    return ""
