"""What the front needs at its start: its arguments, its limits, its ready file."""

import argparse
import json
import os
import resource
from pathlib import Path


def allow_files(wanted: int) -> None:
    """So many open files, or as many as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def write_ready(path: Path, content: dict[str, object]) -> None:
    """Whoever reads it sees all of it or nothing. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)


def address(text: str) -> tuple[str, int]:
    """HOST:PORT of the command line; an IPv6 host may stand in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}, expected HOST:PORT")
    return host.strip("[]"), int(port)
