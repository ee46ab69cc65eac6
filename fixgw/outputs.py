"""Files and folders that a command writes: refused before it starts; files of its end are written one by one, whatever becomes
of others."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import click

EXPECTED = "expected a file that can be written, in a folder that is there"
# option, file (None: not asked for), what writes it
Output = tuple[str, Path | None, Callable[[Path], object]]


def check_outputs(files: Mapping[str, Path | None], directory: Path | None = None) -> None:
    """That each file can be put where its option says. No room on the disk is no reason to refuse: it may come.

    `directory`: a folder that the command makes: files in it count as if it were there. Raises click.BadParameter.
    """
    seen: dict[str, str] = {}
    for option, path in files.items():
        if path is None:
            continue
        try:
            _probe(path, directory)
        except OSError as error:
            raise click.BadParameter(f"'{path}': {error.strerror}: {EXPECTED}", param_hint=f"'{option}'") from None
        real = os.path.realpath(path)
        if real in seen and (os.path.isfile(real) or not os.path.exists(real)):
            raise click.BadParameter(f"'{path}': the file of {seen[real]}: expected another", param_hint=f"'{option}'")
        seen[real] = option


@contextlib.contextmanager
def new_folder(directory: Path | None, prefix: str) -> Iterator[Path]:
    """An empty folder to work in: that of --dir, which is made, or a temporary one, removed at the end. What another run left
    there would be taken for this one's. Raises click.BadParameter."""
    if directory is None:
        with tempfile.TemporaryDirectory(prefix=prefix) as temporary:
            yield Path(temporary)
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        there = any(directory.iterdir())
    except OSError as error:
        raise click.BadParameter(f"'{directory}': {error.strerror}", param_hint="'--dir'") from None
    if there:
        raise click.BadParameter(f"'{directory}': not empty: expected an empty or a new folder", param_hint="'--dir'")
    yield directory


def check_ready_file(path: Path) -> None:
    """That a ready file can be put there (it is renamed into its place), found out before anything is started for whoever waits
    for it. Raises OSError with the file's name."""
    try:
        _probe_name(path)
        _probe_new(path.with_name(f".{path.name}.{os.getpid()}"))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_outputs(outputs: Iterable[Output]) -> bool:
    """Each that was asked for; what cannot be written is told on standard error. True: all are there."""
    fine = True
    for option, path, write in outputs:
        if path is None:
            continue
        try:
            write(path)
        except OSError as error:
            click.echo(f"Error: {option} {path}: {error.strerror or error}: not written", err=True)
            fine = False
    return fine


def _probe(path: Path, directory: Path | None) -> None:
    """Open it for writing as the command will, and leave no trace. Raises OSError."""
    real = Path(os.path.realpath(path))
    _probe_name(real)
    if real.exists():
        _probe_old(real)
        return
    if directory is not None and not real.parent.exists():
        home = Path(os.path.realpath(directory))
        if home == real.parent and not home.exists():
            _probe_folder(home)
            return
    _probe_new(real)


def _probe_name(path: Path) -> None:
    if path.is_dir():  # also "", which is "." for a Path and has no name
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


def _probe_new(path: Path) -> None:
    """Make it and take it away again. No room on the disk is no reason to refuse: it may come."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _probe_old(real: Path) -> None:
    """A pipe or a device is only asked for its rights: opening it may block, or mean something."""
    if stat.S_ISREG(real.stat().st_mode):
        os.close(os.open(real, os.O_WRONLY | os.O_CLOEXEC))
    elif not os.access(real, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _probe_folder(folder: Path) -> None:
    """That it can be made: the nearest folder above it lets us."""
    above = next(parent for parent in folder.parents if parent.exists())
    if not above.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not os.access(above, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
