"""Every field that NewOrderSingle(D) and OrderCancelReplaceRequest(G) may have by our dictionaries, and what becomes of it:
used, ignored, or refused with the values that change nothing. Every instrument here is spot.

The question for each: would an order that is executed without it be another order than the client's? A multiplier, a
maturity, a leg or an hour at which to begin make another one; who sent it, how it is booked and what it is called do not. A
repeating group is decided by its count field: no member comes without it. An OrderCancelRequest(F) cancels the order that it
names whatever else it says: nothing of it is refused, all of it stands in these tables.

A test holds the tables against the dictionaries; FIX.md is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Refused(NamedTuple):
    """Fields that would make another order in the same way. `fields`: tags "12 14-16" of which no value is admitted;
    `admitted`: tag -> the values that change nothing (numbers by their value, a count of 0 always)."""

    why: str
    fields: str = ""
    admitted: Mapping[int, tuple[str, ...]] = MappingProxyType({})


def tags(text: str) -> frozenset[int]:
    """ "12 14-16" -> 12, 14, 15, 16."""
    found: set[int] = set()
    for part in text.split():
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


# what the parsers read
USED: Final = tags("1 11 15 18 22 37 38 40 41 44 48 54 55 58-60 99 100 120 126 152 432 1524")
# of these the fields that must say the currency of the price
CURRENCIES: Final = (15, 120, 1524)

IGNORED: Final = {
    "names and descriptions of the instrument": tags(
        "65 106 107 207 225 348-351 454 470-472 543 965 969-971 1018 1146 1151 1198 1227 1300 1687 1787 1940 2210 2575 2576"
        " 2714-2716 2735 2737 2962"
    ),
    "who the order comes from and where it goes to": tags(
        "76 109 439 440 453 528 529 581 582 660 1028-1030 1032 1091 1133 1724-1726 1815 1816 2102 2593 2882-2884"
    ),
    "references and texts": tags("23 66 117 140 354 355 376 526 583 586 1080 1081 1806 2351 2352 2404 2422 2828 2829 2838"),
    "commission, allocation ids, booking and clearing": tags(
        "12 13 70 75 77 81 203 204 229 427 479 480 481 494 497 513 522 589-591 635 1233 1238 2639 2922"
    ),
    "compliance, and reports of others": tags("47 114 377 768 1390 1688 1934 2524 2525 2668"),
    "agreements": tags("913-915 918 1513 1525 1527 1961-1970 2952"),
    "what is so in any case: our checks, a refusal beyond the message rate": tags("1685 1868"),
    "how a currency is coded": tags("2897 2899 2907"),
}

REFUSED: Final = (
    Refused(
        "another instrument: not spot, or not of the class",
        "200-202 205 206 541 667 762 947 966-968 1049 1079 1184-1186 1194 1195 1197 1199 1200 1435 1439 1478-1482 2891",
        {
            # BTC and ETH are tickers of shares, too
            167: ("DIGITAL", "FOR", "FXSPOT", "NONE"),
            460: ("2", "4", "12"),  # commodity, currency, other
            # spot; currencies, commodities and others that are referred to; miscellaneous assets
            461: ("I", "TC", "TT", "TM", "MM"),
            864: ("0",),
            1193: ("P",),
            1242: ("N",),
            1244: ("N",),
            1483: ("0",),
            1938: ("2", "5", "6", "7"),  # currency, commodity, other, cash
            1939: ("38", "39", "40", "48"),  # FX, other
        },
    ),
    Refused("another quantity", "469 516 996 997 1147 1716", {228: ("1",), 231: ("1",), 468: ("1",), 854: ("0",)}),
    Refused(
        "a price that means something else",
        "218 220-222 235 236 640 662 663 696-699 701 761 1191 1192 1717 1740-1742 2676 2950",
        {423: ("2",), 1196: ("STD",), 1445: ("0",)},
    ),
    Refused("another settlement, or a loan", "64 192 193 919 2579", {63: ("0", "1"), 121: ("N",), 544: ("1",), 775: ("0",)}),
    Refused("other accounts than Account(1)", "", {78: ("0",)}),
    Refused("a minimum, or a hidden quantity", "111 210 1082-1089 1138 1608 1822", {110: ("0",), 1812: ("0",)}),
    Refused(
        "when it may trade, and what else must happen",
        "168 388 835-838 840-844 846 1090 1094 1096-1114 1628 1629 1803-1805 1810 1811 1916",
        {211: ("0",), 386: ("0",), 389: ("0",), 1092: ("0",), 1624: ("0",)},
    ),
    Refused("an algorithm", "847-849", {957: ("0",)}),
    Refused(
        "how and where it is worked",
        "2362 2964",
        {
            21: ("1", "2"),  # not by hand
            1031: (*"ABCDEFHWXYZG", "CNH", "CSH", "DIR", "NH"),
            1461: ("0",),
            2704: ("0",),
            2795: ("0",),
        },
    ),
    Refused("a copy of an order, a change of its owner", "", {797: ("N",), 2679: ("0",)}),
    Refused(
        "bonds, loans and repurchase agreements",
        "223 224 226 227 239 240 255 691 788 873-876 898 916 917 1449-1452 1739 1946-1950 1954-1956 2879 42591-42597",
        {232: ("0",)},
    ),
    Refused(
        "derivatives",
        "1457 1458 1575 1577 1580 1581 1678 1697 1698 1866 1941-1945 1951-1953 1957-1960 2001 2002 2140-2145 2353 2574 2577"
        " 2578 2600-2603 2681 2685 2752 2753 2904-2906 40921 40922 41087-41091 41106-41115 41118-41136 41142-41151"
        " 41232-41236 42590 42777-42783",
        dict.fromkeys(
            (711, 1976, 2304, 40019, 40022, 40040, 40042, 40046, 40049, 40090, 40181, 40204, 40278, 41092, 41094, 41096, 41116,
             41137, 41140, 41152, 41230, 42296, 42775),
            ("0",),
        ),
    ),
)  # fmt: skip
# a code may go on after these; several values stand apart by spaces
PREFIXES: Final = frozenset((461,))
LISTS: Final = frozenset((1031,))


def _unsupported() -> dict[str, tuple[str, ...]]:
    """Tag -> the values that change nothing."""
    found: dict[str, tuple[str, ...]] = {}
    for group in REFUSED:
        found |= {str(tag): () for tag in tags(group.fields)}
        found |= {str(tag): values for tag, values in group.admitted.items()}
    return found


UNSUPPORTED: Final = _unsupported()
