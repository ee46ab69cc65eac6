"""`python -m fixgw.journal.snapshotter DIR`: make a snapshot and archive old segments, in a process of its own.

The gateway starts it now and then, so that dumping the state never holds the GIL that an order waits for. DIR is the
journal's folder. What the state is, the core says: --ops names an object (module:attribute) with
    schema_version: int, load_state(bytes | None), apply(state, record), dump_state(state) -> bytes, hash_state(state)
    -> bytes
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final, Protocol

import click

from .archive import archive_segments
from .errors import JournalError
from .snapshot import make_snapshot

DEFAULT_OPS: Final = "fixgw.core.replay:OPS"


class StateOps(Protocol):
    """What a snapshot needs of the core. apply changes the state in place by one encoded record."""

    schema_version: int

    def load_state(self, payload: bytes | None) -> Any: ...
    def apply(self, state: Any, record: bytes) -> object: ...
    def dump_state(self, state: Any) -> bytes: ...
    def hash_state(self, state: Any) -> bytes: ...


def load_ops(name: str) -> StateOps:
    """The object that `module:attribute` names. Raises click.BadParameter."""
    module, _, attribute = name.partition(":")
    try:
        ops: StateOps = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise click.BadParameter(f"{name!r}: {error}; expected module:attribute", param_hint="--ops") from error
    return ops


def run(
    directory: Path, ops: StateOps, *, upto_seq: int | None, floor_seq: int | None
) -> dict[str, Any]:
    """One round; floor_seq None means that only the snapshots bound the archive."""
    made = make_snapshot(
        directory,
        ops.schema_version,
        load_state=ops.load_state,
        apply=ops.apply,
        dump_state=ops.dump_state,
        hash_state=ops.hash_state,
        upto_seq=upto_seq,
    )
    archived = archive_segments(directory, floor_seq=floor_seq if floor_seq is not None else (1 << 63))
    return {"snapshot": str(made) if made else None, "archived": [str(path) for path in archived]}


@click.command(epilog="Example: python -m fixgw.journal.snapshotter demo/data/journal --upto 120000")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--ops", default=DEFAULT_OPS, show_default=True, help="The core's state functions, module:attribute.")
@click.option("--upto", type=click.IntRange(1), help="The writer's durable sequence; default: the end of the sealed segments.")
@click.option("--floor", type=click.IntRange(0), help="Keep segments with records above this one out of the archive.")
def main(directory: Path, ops: str, upto: int | None, floor: int | None) -> None:
    """Evolve the last snapshot of the journal in DIRECTORY by what came since, then archive old segments."""
    import msgspec

    try:
        result = run(directory, load_ops(ops), upto_seq=upto, floor_seq=floor)
    except (JournalError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
