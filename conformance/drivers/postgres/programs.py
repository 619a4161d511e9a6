"""PostgreSQL's programs: where they are, as whom they run, and an empty cluster made once for the whole process.

Rules
1. PostgreSQL refuses to run as root. When siteproof does, its programs run as the account that the package made, and the folders
   that they work in belong to it. Where there is no such account that is said, and nothing is tried.
2. Programs are those of the newest version under `/usr/lib/postgresql`, which Debian keeps off the PATH; else those of the PATH.
3. `initdb` takes a second. Its result, with the tables in it and all else taken out, is kept for as long as this process lives,
   and each case has a copy.
4. All files of a process are in one folder, which goes when the process ends. One that was killed leaves it behind, with a lock
   that nobody holds; the next process that comes removes it.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from siteproof.conformance.errors import DriverError

__all__ = [
    "ACCOUNT", "PACKAGE", "ToolFailed", "account", "copy_folder", "folder_for", "hand_over", "missing_parts", "new_home",
    "program_folder", "run", "spawn", "sweep", "template",
]  # fmt: skip

PACKAGE = "postgresql"
"""The Debian package that has the programs."""
ACCOUNT = "postgres"
"""The account that the package makes, and the name of the superuser in each cluster."""
_NEEDED = ("postgres", "initdb", "pg_basebackup", "pg_rewind", "pg_controldata", "pg_resetwal")
_ROOM = 1 << 30
_PREFIX, _LOCK = "siteproof-postgres-", "lock"
_SERIAL = itertools.count(1)
SECONDS = 40.0


class ToolFailed(RuntimeError):
    """A program of PostgreSQL ended with an error; the message is its own."""


@functools.cache
def program_folder() -> Path | None:
    """The folder with all of the programs; None when there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: _number(one.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    for folder in [*debian, *([Path(on_path).resolve().parent] if on_path else [])]:
        if all((folder / name).is_file() for name in _NEEDED):
            return folder
    return None


def _number(version: str) -> float:
    try:
        return float(version)
    except ValueError:
        return 0.0


def missing_parts() -> dict[str, str]:
    """What this driver lacks here, and how each is had; empty when it can run."""
    lacks = {}
    if program_folder() is None:
        lacks["programs of PostgreSQL"] = f"apt-get install {PACKAGE}"
    if importlib.util.find_spec("psycopg") is None:
        lacks["psycopg"] = "pip install 'siteproof[postgres]'"
    if _is_root() and _account_of_package() is None:
        lacks[f"account {ACCOUNT} (PostgreSQL does not run as root)"] = "run siteproof as another user, or make the account"
    return lacks


def _is_root() -> bool:
    return os.geteuid() == 0


def _account_of_package() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        return None


@functools.cache
def account() -> pwd.struct_passwd | None:
    """As whom programs run; None for ourselves. Raises `DriverError` when there is nobody."""
    if not _is_root():
        return None
    found = _account_of_package()
    if found is None:
        raise DriverError(
            "postgres", f"root, as whom PostgreSQL does not run, and no account {ACCOUNT}", "an account without privileges",
            "run siteproof as another user, or install the package, which makes the account",
        )  # fmt: skip
    return found


def hand_over(path: Path) -> Path:
    """Give a file or folder to the account that programs run as."""
    if (whose := account()) is not None:
        os.chown(path, whose.pw_uid, whose.pw_gid)
    return path


def _path_of(program: str) -> str:
    folder = program_folder()
    own = None if folder is None else folder / program
    return str(own) if own is not None and own.is_file() else program


def _as_account(command: list[str], *guards: str) -> tuple[list[str], dict[str, Any]]:
    """A command as it is run by the account, and what `subprocess` has to know for it. With `setpriv` of util-linux it need not
    fork all of this process, and the guards can be had."""
    whose, setpriv = account(), shutil.which("setpriv")
    if setpriv is not None:
        becomes = [] if whose is None else ["--reuid", str(whose.pw_uid), "--regid", str(whose.pw_gid), "--clear-groups"]
        return [setpriv, *becomes, *guards, *command] if becomes or guards else command, {}
    return command, {} if whose is None else {"user": whose.pw_uid, "group": whose.pw_gid, "extra_groups": []}


def run(program: str, *arguments: str | Path, cwd: Path) -> str:
    """Run a program to its end; what it wrote. Raises `ToolFailed` with its own words."""
    command, options = _as_account([_path_of(program), *map(str, arguments)])
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=SECONDS,
        env={**os.environ, "LC_ALL": "C"}, check=False, **options,
    )  # fmt: skip
    if done.returncode:
        raise ToolFailed(f"{program} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout


def spawn(program: str, arguments: Sequence[str | Path], *, cwd: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a server. A tester that is killed leaves none behind, where `setpriv` is there."""
    command, options = _as_account([_path_of(program), *map(str, arguments)], "--pdeathsig", "KILL")
    return subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "LC_ALL": "C"}, **options
    )


def copy_folder(source: Path, target: Path) -> None:
    """A copy of a data folder whose server does not run. Its files belong to whom they belonged."""
    subprocess.run(["cp", "-R", "-p", source, target], check=True, capture_output=True, timeout=SECONDS)
    for left in ("postmaster.pid", "postmaster.opts"):
        (target / left).unlink(missing_ok=True)


def folder_for(purpose: str) -> Path:
    """A new folder of this process that nobody else can enter, and that the programs can work in."""
    folder = _home() / f"{purpose}{next(_SERIAL)}"
    folder.mkdir(mode=0o700)
    return hand_over(folder)


@functools.cache
def _home() -> Path:
    """Where all folders of this process are, until it ends."""
    sweep(_parent())
    folder, lock = new_home(_parent())
    weakref.finalize(template, _leave, folder, lock, os.getpid())
    return folder


def _parent() -> Path:
    """Temporary folders are made in memory where there is room, unless TMPDIR says where."""
    memory = Path("/dev/shm")
    roomy = "TMPDIR" not in os.environ and memory.is_dir() and os.access(memory, os.W_OK)
    return memory if roomy and shutil.disk_usage(memory).free > _ROOM else Path(tempfile.gettempdir())


def new_home(parent: Path) -> tuple[Path, int]:
    """A temporary folder, and its lock, which the process holds while it lives. Raises `DriverError` where none will do."""
    folder = hand_over(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)))
    try:
        if len(str(folder)) > 80:
            raise DriverError(
                "postgres", f"the temporary folder {parent}", "one with a shorter name, for the sockets in it", "set TMPDIR"
            )
        try:
            run("test", "-w", folder, cwd=Path("/"))
        except ToolFailed:
            lacks = f"the temporary folder {parent}, which the account {ACCOUNT} cannot enter"
            raise DriverError("postgres", lacks, "one that it can", "set TMPDIR") from None
    except DriverError:
        folder.rmdir()
        raise
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return folder, lock


def sweep(parent: Path, older_than: float = 60.0) -> None:
    """Remove what processes have left that were killed: folders older than so many seconds, whose lock nobody holds."""
    for folder in parent.glob(_PREFIX + "*"):
        try:
            if time.time() - folder.stat().st_mtime < older_than:
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:  # it is somebody else's, or has just gone
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def _leave(folder: Path, lock: int, whose: int) -> None:
    """The end of the process that made it; a fork of it leaves it alone."""
    if os.getpid() == whose:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


class _Template:
    """The cluster that `initdb` made."""

    def __init__(self) -> None:
        self.folder = folder_for("t")
        self.data = self.folder / "data"
        run("initdb", "-D", self.data, "-U", ACCOUNT, "-A", "trust", "--wal-segsize=1", "--no-sync", "--no-instructions",
            "-E", "UTF8", "--locale=C", cwd=self.folder)  # fmt: skip


@functools.cache
def template() -> _Template:
    """The template of this process."""
    return _Template()
