"""The report folder: what is in it, and when it may be replaced.

Rules
1. A folder is *ours* when it holds the marker file. Only such a folder, or an empty one, is ever replaced; anything else is
   an error before any work is done.
2. A report is written into a new folder beside its place and moved there when it is complete, so that a reader never meets
   half of one. The old one is removed after the new one stands.
3. Everything in it is relative, so the folder can be moved, zipped and mailed.

    index.html   report.json   proofs/<flow>/…   counterexamples/<flow>.json   .siteproof-report
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import attrs

from siteproof.model.errors import UsageError

__all__ = ["MARKER", "ReportFolder"]

MARKER = ".siteproof-report"


@attrs.define
class ReportFolder:
    """A report while it is written: work in `draft`, then `publish`, or `discard`."""

    place: Path
    draft: Path

    @classmethod
    def begin(cls, place: Path) -> ReportFolder:
        """Start a report for `place`. Raises `UsageError` when something that is not ours is there, or nothing can be."""
        place = place.absolute()
        _check_ours(place)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        except OSError as error:
            raise UsageError(
                f"--report {place}", "a place where a folder can be made", f"choose another one ({error.strerror})"
            ) from None
        draft.chmod(0o755)
        (draft / MARKER).write_text("This folder is written by siteproof and replaced by its next report.\n", encoding="utf-8")
        for name in ("proofs", "counterexamples"):
            (draft / name).mkdir()
        return cls(place, draft)

    def publish(self) -> Path:
        """Put the report in its place; answers the page's path."""
        _check_ours(self.place)
        if self.place.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{self.place.name}.old.", dir=self.place.parent))
            self.place.rename(old / "report")
            self.draft.rename(self.place)
            shutil.rmtree(old, ignore_errors=True)
        else:
            self.draft.rename(self.place)
        return self.place / "index.html"

    def discard(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.draft, ignore_errors=True)


def _check_ours(place: Path) -> None:
    if place.is_symlink() or (place.exists() and not place.is_dir()):
        raise UsageError(
            f"--report {place}, which is not a folder", "a new folder, or one with an earlier report", "choose another place"
        )
    if place.is_dir() and any(place.iterdir()) and not (place / MARKER).is_file():
        raise UsageError(
            f"--report {place}, a folder with files that are not siteproof's",
            "a new folder, or one with an earlier report",
            "choose another place, or empty it yourself",
        )
