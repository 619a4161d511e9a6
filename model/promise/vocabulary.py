"""The promise level's variables: what a customer can know about one machine under replication.

Rules
1. Two sides. The *active* side is the machine; the other one is *passive*: the replica while it follows, the former source
   after a failover. Variables speak of these roles (`running`, `passive_running`); only `active` names a site, so a failover
   swaps roles at one instant and nothing is said twice.
2. Content is positions. `head` is the active side's position on its branch: how many writes its disk has acknowledged.
   `passive` is the passive side's: how far it has received; once it is the former source, its own head on the branch that
   ended. A failover to a point starts a new branch at the point's position.
3. One arbitrary write, the *marked* one, is followed by place (`x_…`). One arbitrary advertised point, the *kept* one
   (`point`), is followed beside the latest and the latest app-consistent one (`app`). Write and point are chosen freely,
   once, so what holds for them holds for all.
4. An epoch only grows. A side that holds the current epoch is the authority; `passive_epoch` lags behind it exactly from an
   unplanned failover until the former source has been contacted.
5. Truth, not belief: `running` says whether a guest executes, whatever any component thinks.
6. A test failover's copy is a third place beside the two sides. It holds the content of its point and what it has written
   itself; no other variable knows of either.
7. The change log is seen through what it may have lost: `spoiled` says that the log is of no more use (what the replica
   lacks is no longer in it), `doubt` that a fault has struck which may have made it so.
"""

from __future__ import annotations

import enum

from siteproof.model.system import Vocabulary, choice, flag, nat
from siteproof.model.terms import And, Bool, If, Or

__all__ = ["Direction", "Failover", "Fate", "Job", "Machine", "Point", "Protection", "Resync", "Site", "Test"]


class Site(enum.Enum):
    PRIMARY = "primary"
    RECOVERY = "recovery"


class Direction(enum.Enum):
    FORWARD = "forward"
    REVERSE = "reverse"


class Protection(enum.Enum):
    NONE = "none"
    INITIAL = "initial"
    PROTECTED = "protected"


class Failover(enum.Enum):
    NONE = "none"
    PLANNED = "planned"
    UNPLANNED = "unplanned"
    COMMITTED = "committed"
    COMPLETED = "completed"


class Test(enum.Enum):
    """Whether a test failover waits for its cleanup."""

    NONE = "none"
    RUNNING = "running"


class Resync(enum.Enum):
    """How far a resynchronisation is."""

    NONE = "none"
    REQUIRED = "required"
    COMPARING = "comparing"
    MERGING = "merging"


class Job(enum.Enum):
    """The long operation that runs; values are public operation names."""

    NONE = "none"
    ENABLE = "EnableProtection"
    PLANNED = "PlannedFailover"
    UNPLANNED = "UnplannedFailover"
    COMMIT = "Commit"
    REVERSE = "ReverseReplicate"
    TEST = "TestFailover"
    CLEANUP = "TestFailoverCleanup"
    CHANGE = "ChangePit"
    DISABLE = "DisableProtection"
    MIGRATE = "CompleteMigration"
    REPAIR = "RepairReplication"


class Point(enum.Enum):
    """Which recovery point a failover, a test failover or a change of point asks for (domain 2.5)."""

    LATEST = "latest"
    PROCESSED = "latest-processed"
    APP = "latest-app-consistent"
    CUSTOM = "custom"


class Fate(enum.Enum):
    """What has become of the marked write."""

    UNISSUED = "unissued"
    WRITTEN = "written"
    DISCARDED = "discarded"


class Machine(Vocabulary):
    """One machine, and the infrastructure it shares with others."""

    protection = choice(Protection.NONE, "whether the machine is replicated")
    active = choice(Site.PRIMARY, "the site that is the machine: the authority")
    direction = choice(Direction.FORWARD, "which way replication goes, or last went")
    failover = choice(Failover.NONE, "the last failover that still matters")
    job = choice(Job.NONE, "the long operation that runs")
    half = flag(False, "the job's first half is done: there is a base, a comparison or a test copy, or points have been removed")
    disturbed = flag(False, "a fault or a restart struck while this planned failover ran")
    chosen = choice(Point.LATEST, "the point that the last failover, test failover or change of point asked for")
    changed = flag(False, "the machine has been set to another point since its failover")
    test = choice(Test.NONE, "whether a test failover waits for its cleanup")
    resync = choice(Resync.NONE, "whether the replica has to be compared with the active side, and how far that is")
    doubt = flag(False, "a fault has struck that may have spoiled the change log")
    spoiled = flag(False, "the change log is of no use: it has lost what the passive side lacks, or has been given up")

    epoch = nat(1, "the active side's epoch")
    passive_epoch = nat(1, "the newest epoch that the passive side has learned of")
    running = flag(True, "the guest executes at the active side")
    passive_running = flag(False, "the guest executes at the passive side")
    reboots = flag(False, "the active side's guest starts by itself when its site is powered up")
    passive_reboots = flag(False, "the passive side's guest starts by itself when its site is powered up")

    test_running = flag(False, "the test copy executes")

    head = nat(0, "writes acknowledged by the active side, along its branch")
    cached = nat(0, "writes issued at the active side that its disk has not acknowledged")
    passive = nat(0, "position of the passive side: received, or the former source's own head")
    passive_cached = nat(0, "writes issued at the former source that its disk has not acknowledged")
    fork = nat(0, "position at which the last unplanned failover started its branch")

    staged = nat(0, "position at which a resynchronisation has compared the two sides")
    test_at = nat(0, "position of the point that the test copy was made of")

    points = flag(False, "at least one recovery point is advertised")
    latest = nat(0, "position of the newest advertised point")
    point = flag(False, "the kept point, an arbitrary one, is advertised")
    point_at = nat(0, "position of the kept point")
    app = flag(False, "an app-consistent point is advertised")
    app_at = nat(0, "position of the newest app-consistent point")
    pinned = flag(False, "the kept point is the one that the test copy was made of")

    received = nat(0, "reported: position received when the last unplanned failover switched")
    received_known = flag(False, "whether `received` has been reported")
    loss = nat(0, "reported: writes lost by the last unplanned failover")
    loss_known = flag(False, "whether `loss` has been reported")
    alerted = flag(False, "the alert StaleSideFenced has been raised")

    primary_up = flag(True, "the primary site has power and network")
    recovery_up = flag(True, "the recovery site has power and network")
    link_up = flag(True, "the sites can reach each other")
    gateway_up = flag(True, "the replication gateway (process server) works")

    x_fate = choice(Fate.UNISSUED, "what has become of the marked write", mark=True)
    x_at = nat(0, "position of the marked write on its branch", mark=True)
    x_active = flag(False, "the active side's disk holds the marked write", mark=True)
    x_passive = flag(False, "the passive side holds the marked write", mark=True)
    x_latest = flag(False, "the newest point holds the marked write", mark=True)
    x_point = flag(False, "the kept point holds the marked write", mark=True)
    x_app = flag(False, "the newest app-consistent point holds the marked write", mark=True)
    x_test = flag(False, "the test copy holds the marked write", mark=True)
    x_staged = flag(False, "the comparison has found the marked write at the active side", mark=True)
    x_gap = flag(False, "the marked write is neither in the change log nor at the passive side", mark=True)

    @property
    def connected(self) -> Bool:
        """The two sides can reach each other."""
        return And(self.primary_up, self.recovery_up, self.link_up)

    @property
    def contacted(self) -> Bool:
        """The passive side has learned of the current epoch."""
        return self.passive_epoch == self.epoch

    @property
    def can_ship(self) -> Bool:
        """Data can flow from the active to the passive side."""
        return And(self.connected, self.gateway_up, self.contacted)

    @property
    def active_up(self) -> Bool:
        """The active side's site has power and network."""
        return If(self.active == Site.PRIMARY, self.primary_up, self.recovery_up)

    @property
    def passive_up(self) -> Bool:
        """The passive side's site has power and network."""
        return If(self.active == Site.PRIMARY, self.recovery_up, self.primary_up)

    @property
    def follows(self) -> Bool:
        """The passive side is a complete replica that follows the active one."""
        return And(self.protection == Protection.PROTECTED, self.failover == Failover.NONE)

    @property
    def copying(self) -> Bool:
        """A job that makes a copy of the machine at the passive side: of its own, or as part of a planned failback."""
        return Or(self.job.is_in(Job.ENABLE, Job.REVERSE), And(self.job == Job.PLANNED, self.failover == Failover.COMMITTED))

    @property
    def tracks(self) -> Bool:
        """Writes of the active side go into a change log, from which the passive side is fed."""
        return Or(self.follows, And(self.copying, self.half))

    @property
    def pending(self) -> Bool:
        """A failover waits for commit."""
        return self.failover.is_in(Failover.PLANNED, Failover.UNPLANNED)
