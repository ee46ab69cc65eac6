"""fix_specs/ is what the tables make of QuickFIX's dictionaries, and QuickFIX accepts with it what we send and take."""

from pathlib import Path

import pytest
import quickfix

from fixgw.fix import dictionary
from fixgw.fix.dictionary import CUSTOM_FIELDS, VERSIONS, DictionaryError, fix_specs_dir, generate, load

BEGIN = {"FIX42": "FIX.4.2", "FIX44": "FIX.4.4", "FIX50SP2": "FIXT.1.1"}
TIME = "20240101-00:00:00"


@pytest.fixture(scope="module")
def engine() -> dict[str, quickfix.DataDictionary]:
    return {version: quickfix.DataDictionary(str(fix_specs_dir() / f"{version}.xml")) for version in VERSIONS}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_checked_in_is_what_is_generated(version: str) -> None:
    assert (fix_specs_dir() / f"{version}.xml").read_text(encoding="utf-8") == generate(version)


def test_the_command_writes_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dictionary.main(["--to", str(tmp_path)]) == 1
    assert "differs from the tables" in capsys.readouterr().err
    assert dictionary.main(["--to", str(tmp_path), "--write"]) == 0
    assert dictionary.main(["--to", str(tmp_path)]) == 0
    (tmp_path / "FIX42.xml").write_text("<fix/>")
    assert dictionary.main(["--to", str(tmp_path)]) == 1


def test_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "FIX42.xml").write_text("<fix")
    with pytest.raises(DictionaryError, match=r"FIX42\.xml: cannot be read"):
        generate("FIX42", tmp_path)
    for version in ("FIXT11", "FIX50SP2"):
        (tmp_path / f"{version}.xml").write_text("<fix><fields/><messages/><components/></fix>")
    with pytest.raises(DictionaryError, match="FIXT11: component MsgTypeGrp is not there"):
        generate("FIXT11", tmp_path)
    with pytest.raises(DictionaryError, match="'FIX43', expected one of"):
        load("FIX43")


def test_custom_fields_fit_legacy_engines_and_stand_once() -> None:
    tags = [field.tag for field in CUSTOM_FIELDS]
    assert len(set(tags)) == len(tags) and max(tags) <= 32767
    assert len({field.name for field in CUSTOM_FIELDS}) == len(tags)
    for version in ("FIX42", "FIX44", "FIX50SP2"):
        assert load(version).field_name(20001) == "ReasonCode"
    assert load("FIX50SP2").field_name(20008) == "CancelOnDisconnect"  # of the transport's dictionary
    assert load("FIX50SP2").messages["A"] == "Logon"


def check(engine: dict[str, quickfix.DataDictionary], version: str, *fields: str) -> None:
    """Has QuickFIX judge an application message. Raises quickfix.FIXException."""
    soh = "\x01"
    rest = [f"34=1{soh}49=A{soh}52={TIME}{soh}56=B", *fields[1:]]
    text = soh.join([f"8={BEGIN[version]}", "9=0", fields[0], *rest, "10=000", ""])
    if version == "FIX50SP2":
        message = quickfix.Message(text, engine["FIXT11"], engine[version], False)
        quickfix.DataDictionary.validate(message, engine["FIXT11"], engine[version])
    else:
        engine[version].validate(quickfix.Message(text, engine[version], False))


REASON = ("20001=QTY_MAX", "20002=38", "20003=5", "20004=1")
ORDER = ("11=a", "55=BTC/USDT", "54=1", f"60={TIME}", "40=2", "44=1", "1=ACC", "18=6", "100=SIM", "167=DIGITAL")
MORE_ORDER = ("48=4H95J0R2X", "22=Y", "207=SIM", "15=USDT")
REPORT = ("37=o", "17=e", "11=a", "55=BTC/USDT", "54=1", "38=1", "151=0", "14=1", "6=1", "797=Y", "100=SIM")
FEES = ("136=1", "137=0.1", "138=USDT", "139=10")
VENUE = ("20005=v", "20006=t", "20007=c")


def order_messages(version: str) -> list[tuple[str, ...]]:
    old = ("21=1",) if version == "FIX42" else ()
    parties = () if version == "FIX42" else ("453=1", "448=F", "447=D", "452=3")
    order = (*ORDER, *MORE_ORDER, *old, *parties)
    return [
        ("35=D", *order, "38=1", "59=6", "126=20240101-00:00:00"),
        ("35=D", *order, "152=100", "59=6", "432=20240101"),
        ("35=G", *order, "41=b", "37=o", "38=1", "59=6", "432=20240101"),
        ("35=G", *order, "41=b", "152=5"),
        ("35=F", "41=b", "11=a", "55=BTC/USDT", "54=1", f"60={TIME}", "38=1", "100=SIM", "1=ACC", *parties),
        ("35=H", "11=a", "55=BTC/USDT", "54=1", "37=o"),
    ]


def report_messages(version: str) -> list[tuple[str, ...]]:
    four = version == "FIX42"
    fill = ("20=0", "150=2") if four else ("150=F",)
    unknown = ("20=3", "150=A") if four else ("150=I",)
    bust = [("20=1", "150=2", "19=x"), ("20=2", "150=2", "19=x")] if four else [("150=H", "19=x"), ("150=G", "19=x")]
    reject = ("20=0", "150=8") if four else ("150=8",)
    extra = ("126=20240101-00:00:00", "432=20240101", "152=100", "378=12", "30=SIM", "44=1", "99=1", "59=6", "18=6")
    return [
        ("35=8", *REPORT, *fill, "39=2", "32=1", "31=1", *FEES, *VENUE, *extra),
        ("35=8", *REPORT, *unknown, "39=A", "20001=OUTCOME_UNKNOWN"),
        *(("35=8", *REPORT, *kind, "39=1", "32=1", "31=1") for kind in bust),
        *(("35=8", *REPORT, *reject, "39=8", f"103={code}", "58=no", *REASON) for code in (0, 1, 3, 6, 11, 13, 99)),
        *(("35=9", "37=o", "11=a", "41=b", "39=8", "434=1", f"102={code}", *REASON) for code in (0, 1, 2, 3, 6, 99)),
        *(("35=j", "45=1", "372=D", f"380={code}", "58=no", *REASON) for code in (0, 4, 5, 6, 7, 8)),
    ]


@pytest.mark.parametrize("version", BEGIN)
def test_quickfix_accepts_what_we_take_and_send(engine: dict[str, quickfix.DataDictionary], version: str) -> None:
    for fields in order_messages(version) + report_messages(version):
        try:
            check(engine, version, *fields)
        except quickfix.FIXException as error:
            raise AssertionError(f"{version} refuses {fields}: {error}") from error


@pytest.mark.parametrize(
    "fields",
    [
        ("35=8", "20001=x", "37=o"),
        ("35=D", *ORDER, "21=1", "38=1", "20001=x"),
        ("35=D", *ORDER, "21=1", "38=1", "20009=x"),
        ("35=j", "45=1", "372=D", "380=77"),
        ("35=9", "37=o", "11=a", "41=b", "39=8", "434=7", "102=0"),
    ],
)
@pytest.mark.parametrize("version", BEGIN)
def test_and_still_refuses_what_is_wrong(
    engine: dict[str, quickfix.DataDictionary], version: str, fields: tuple[str, ...]
) -> None:
    with pytest.raises(quickfix.FIXException):
        check(engine, version, *fields)


@pytest.mark.parametrize("version", ["FIX42", "FIX44", "FIXT11"])
def test_logon_fields(engine: dict[str, quickfix.DataDictionary], version: str) -> None:
    soh = "\x01"
    begin = {"FIXT11": "FIXT.1.1"}.get(version) or BEGIN[version]
    text = soh.join([f"8={begin}", "9=0", "35=A", "34=1", "49=A", f"52={TIME}", "56=B", "98=0", "108=30", "141=Y"])
    text += soh + soh.join(["553=u", "554=p", "789=5", "20008=Y", "8013=S", "9001=N"])
    text += soh + ("1137=9" + soh if version == "FIXT11" else "") + f"10=000{soh}"
    engine[version].validate(quickfix.Message(text, engine[version], False))


@pytest.mark.parametrize("version", ["FIX42", "FIX44", "FIXT11"])
def test_a_logon_may_list_its_message_types(engine: dict[str, quickfix.DataDictionary], version: str) -> None:
    """FIXT.1.1's own dictionary of QuickFIX has that component, with nothing in it."""
    begin = {"FIXT11": "FIXT.1.1"}.get(version) or BEGIN[version]
    more = ["1130=9", "1406=1", "1131=x", "1410=Y"] if version == "FIXT11" else []
    fields = [f"8={begin}", "9=0", "35=A", "34=1", "49=A", f"52={TIME}", "56=B", "98=0", "108=30"]
    fields += ["384=2", "372=D", "385=R", *more, "372=8", "385=S", *(["1137=9"] if more else []), "10=000", ""]
    engine[version].validate(quickfix.Message("\x01".join(fields), engine[version], False))
    wrong = "\x01".join(fields).replace("384=2", "384=3")
    with pytest.raises(quickfix.FIXException):
        engine[version].validate(quickfix.Message(wrong, engine[version], False))


# the same by another word
SYNONYMS = {
    ("FIX42", 35, "b"), ("FIX42", 88, "2"), ("FIX42", 269, "9"), ("FIX42", 427, "2"),
    ("FIX44", 35, "b"), ("FIX44", 88, "2"), ("FIX44", 167, "PFAND"), ("FIX44", 269, "9"), ("FIX44", 427, "2"),
    ("FIX44", 452, "14"), ("FIX44", 532, "2"), ("FIX44", 751, "1"),
}  # fmt: skip


@pytest.mark.parametrize("version", ["FIX42", "FIX44"])
def test_values_are_called_what_they_are(version: str) -> None:
    """By FIX 5.0SP2, where it has the same value: one that means something else is wrong in one of the two."""
    here, newest = load(version), load("FIX50SP2")
    other = {
        (version, tag, value): (name, newest.value_name(tag, value))
        for tag, values in here.values.items()
        for value, name in values.items()
        if newest.values.get(tag, {}).get(value, name).replace("_", "") != name.replace("_", "")
    }
    assert set(other) == {entry for entry in SYNONYMS if entry[0] == version}, other
    assert here.value_name(434, "2") == "ORDER_CANCEL_REPLACE_REQUEST" and here.value_name(434, "1") == "ORDER_CANCEL_REQUEST"
