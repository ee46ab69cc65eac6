"""`fixgw run DIR`: supervises the front, the gateway, the venue hosts and, where configured, the simulator."""

from __future__ import annotations

import sys
from pathlib import Path

from ..config import ConfigErrors, load
from ..config.preflight import preflight
from ..outputs import check_ready_file
from .child import describe_error
from .lock import AlreadyRunning, take
from .loop import Supervisor
from .plan import Plan
from .status import StatusLine


def run(directory: str | Path, ready_file: Path | None = None) -> int:
    """Run DIR until SIGTERM, SIGINT or a fatal end; returns the exit status (0 clean, 1 refused to start or not clean,
    3 / 4 / 5 the gateway's configuration, journal or disk). Call it from the main thread of a process without others."""
    try:
        config = load(directory)
        found = preflight(config)
        if found.problems or found.here:
            # what cannot work is not started: it would be restarted for ever
            raise ConfigErrors([*found.problems, *found.here])
    except ConfigErrors as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        print(f"{directory} cannot be run: see `fixgw check {directory}`", file=sys.stderr)
        return 1
    if ready_file is not None:
        try:
            check_ready_file(ready_file)
        except OSError as error:
            text = f"--ready-file {ready_file}: {error.strerror}: expected a file in a folder that can be written"
            print(text, file=sys.stderr)
            return 1
    try:
        config.paths.make_directories()
        lock = take(config.paths)
    except AlreadyRunning as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{describe_error(error, config.paths.run)}: expected a folder that can be written", file=sys.stderr)
        return 1
    paths = config.paths
    ready_files = [config.paths.ready] + ([ready_file.absolute()] if ready_file is not None else [])
    try:
        # what an earlier run wrote is not true any more
        for path in [*ready_files, paths.gateway_ready, paths.front_ready, paths.simulator_ready, paths.ended]:
            path.unlink(missing_ok=True)
        return Supervisor(Plan(config), lock, ready_files, StatusLine()).run()
    finally:
        lock.release()
