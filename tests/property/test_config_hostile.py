"""Whatever stands in a configuration file, load() says so: ConfigErrors with a place, or a Config. Nothing else ever."""

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixgw.config import Config, ConfigErrors, load
from fixgw.config.init import init
from fixgw.supervisor.plan import _toml, _toml_key

FILES = ("fixgw.toml", "sessions/OMS44.toml", "sessions/PB44.toml", "venues/sim.toml")
WORDS = st.sampled_from(
    ["", "*", "BTC/USDT", "sim", "main", "sim-main", "1", "-1", "NaN", "1e5", "0.5", "OMS42", "../x", "a" * 300, "\x00", "é"]
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(width=32) | WORDS | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS.filter(lambda value: value is not None),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hostile") / "demo"
    init(directory, demo=True)
    return directory


def places(content: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value."""
    found: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        container = waiting.pop()
        for key, value in list(container.items() if isinstance(container, dict) else enumerate(container)):
            found.append((container, key))
            if isinstance(value, dict | list):
                waiting.append(value)
    return found


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_any_value_anywhere_is_judged(demo: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(FILES))
    content = tomllib.loads((demo / name).read_text())
    container, key = data.draw(st.sampled_from(places(content)))
    if isinstance(container, dict) and data.draw(st.booleans()):
        key = data.draw(WORDS | st.text(max_size=5))
    container[key] = data.draw(VALUES)
    directory = tmp_path_factory.mktemp("case") / "d"
    shutil.copytree(demo, directory)
    (directory / name).write_text("".join(f"{_toml_key(k)} = {_toml(v)}\n" for k, v in content.items()), encoding="utf-8")
    try:
        assert isinstance(load(directory), Config)
    except ConfigErrors as error:
        for problem in error.problems:
            assert problem.file and problem.expected, problem
            assert (directory / problem.file).exists()
    finally:
        shutil.rmtree(directory)


@given(raw=st.binary(max_size=60))
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
def test_any_bytes_are_judged(demo: Path, raw: bytes) -> None:
    file = demo / "sessions" / "RAW.toml"
    file.write_bytes(raw)
    try:
        load(demo)
    except ConfigErrors as error:
        assert all(problem.file == "sessions/RAW.toml" for problem in error.problems), error
    finally:
        file.unlink()
