"""`fixgw run DIR`: supervises the front, the gateway, the venue hosts and, where configured, the simulator."""

from __future__ import annotations

import signal
import sys
from collections.abc import Set
from pathlib import Path

from ..config import ConfigErrors, load
from ..config.preflight import preflight
from ..outputs import check_ready_file
from ..stopping import Stopping, check_held
from .child import describe_error
from .lock import AlreadyRunning, take
from .loop import Supervisor
from .plan import Plan
from .status import StatusLine


def run(directory: str | Path, ready_file: Path | None = None, held: Set[signal.Signals] = frozenset()) -> int:
    """Run DIR until SIGTERM, SIGINT, SIGHUP or a fatal end; returns the exit status (0 clean, 1 refused to start or not clean,
    3 to 6 as in plan.GATEWAY_FATAL). `held`: signals that are blocked already (hold_signals): one that comes before anything
    is started is a clean stop too. Call it from the main thread of a process without others."""
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
        lock = take(config.paths, held=held)
    except Stopping:
        return _not_started()
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
        for path in [*ready_files, paths.gateway_ready, paths.front_ready, paths.simulator_ready, paths.ended, paths.processes]:
            path.unlink(missing_ok=True)
        check_held(held)
        return Supervisor(Plan(config), lock, ready_files, StatusLine()).run()
    except Stopping:
        return _not_started()
    finally:
        lock.release()


def _not_started() -> int:
    print("told to end before anything was started")
    return 0
