"""Where things lie in an installation's folder DIR: one place, used by every process and command.

fixgw.toml  sessions/*.toml  venues/*.toml     the configuration
data/journal/                                  the journal and the install id
data/fix/                                      QuickFIX's stores
log/                                           one log per process; raw FIX logs below log/fix/
data/run.lock, data/children.lock              held by whoever runs the installation
run/                                           sockets and ready files of the running gateway
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DIRECTORY_MODE = 0o700


@dataclass(frozen=True, slots=True)
class Paths:
    """All paths of one installation; nothing is created here."""

    root: Path

    @property
    def firm_file(self) -> Path:
        return self.root / "fixgw.toml"

    @property
    def sessions(self) -> Path:
        return self.root / "sessions"

    @property
    def venues(self) -> Path:
        return self.root / "venues"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def journal(self) -> Path:
        return self.root / "data" / "journal"

    @property
    def projection(self) -> Path:
        """The journal as SQLite tables, behind it by a moment."""
        return self.root / "data" / "projection.db"

    @property
    def simulator(self) -> Path:
        return self.root / "data" / "simulator"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def lock(self) -> Path:
        """Not in run/: who clears that must not let a second supervisor in."""
        return self.data / "run.lock"

    @property
    def children_lock(self) -> Path:
        return self.data / "children.lock"

    @property
    def ready(self) -> Path:
        return self.run / "ready.json"

    @property
    def gateway_ready(self) -> Path:
        return self.run / "gateway.json"

    @property
    def front_ready(self) -> Path:
        return self.run / "front.json"

    @property
    def front_sessions(self) -> Path:
        return self.run / "front_sessions.json"

    @property
    def clock(self) -> Path:
        """How far the gateway's clock is from the machine's, for its next run."""
        return self.run / "clock.json"

    @property
    def simulator_ready(self) -> Path:
        return self.run / "simulator.json"

    @property
    def ended(self) -> Path:
        """Why processes ended that are not back yet, by their names; the supervisor writes it, `fixgw status` tells it."""
        return self.run / "ended.json"

    @property
    def processes(self) -> Path:
        """Every process and its starts; the supervisor writes it, `fixgw status` tells it."""
        return self.run / "processes.json"

    @property
    def admin_socket(self) -> Path:
        return self.run / "admin.sock"

    @property
    def fix_socket(self) -> Path:
        """Where the gateway's QuickFIX listens, for the front."""
        return self.run / "fix.sock"

    @property
    def venues_socket(self) -> Path:
        return self.run / "venues.sock"

    def make_directories(self) -> None:
        """Create the folders that only the owner may enter. Raises OSError."""
        self.root.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        for path in (self.sessions, self.venues, self.data, self.journal, self.log, self.run):
            path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            path.chmod(DIRECTORY_MODE)
