"""The commands of `fixgw`, for tests that look at every one."""

from __future__ import annotations

from collections.abc import Iterator

import click

from fixgw.cli import main


def commands(name: str = "", command: click.Command = main) -> Iterator[tuple[str, click.Command]]:
    """("journal verify", command) of every command and group; "" is `fixgw` itself. A group comes before what is in it."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from commands(f"{name} {child}".strip(), found)
