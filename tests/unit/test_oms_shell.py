"""The commands of the small FIX client: what cannot be understood is said, and the shell goes on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fixgw.fix.dictionary import load
from fixgw.fix.oms_shell import CommandError, Shell


@pytest.mark.parametrize("line", ["raw \u00b2=x", "raw x", "log \u00b2", "log x", "expect 35=8 \u00b2=x", "expect 35=8 x"])
def test_what_is_no_number_is_said(line: str) -> None:
    """\u00b2 is a digit to str.isdigit(), and none to int()."""
    shell = Shell(SimpleNamespace(), load("FIX44"), print, print, print)  # type: ignore[arg-type]
    with pytest.raises(CommandError, match="expected"):
        shell.run(line)
