"""The deterministic runtime: virtual time, an event queue, faults, and the delivery of messages.

Rules:

* the same seed and the same calls give the same run: every delay comes from seeded generators, every tie in time is
  broken by the order of scheduling. Only the bytes of encrypted frames and stores differ, since keys do;
* an event is a job step, a turn of an agent, a periodic cut or the delivery of one message. Nothing is scheduled for
  its own sake, so a system at rest has an empty queue: that is what *quiescent* means;
* a fault drops every message that is under way; what is needed is sent again when the path heals, so no timers poll;
* the network delivers late copies, loses and damages messages as :mod:`.network` says;
* points expire as time passes, without an event of their own;
* a site fault takes power and network away, guests with their caches and what gateways hold. Bytes written to files
  stay, also those that were not forced to stable storage; only if the laboratory forces writes (``sync``), log bytes
  that were not forced are lost. What the control components know stays. A crash of everything at once, with what was not
  forced, is not a fault of this list: it ends the program, and :meth:`Simulation.resume` begins again from what was kept
  (:mod:`.keeping`);
* on healing, first power (machines may start by themselves), then contact (a stale side is fenced), then what an ended
  replication has left behind is cleaned up, then all else.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Protocol

import attrs

from .agent import ReplicationAgent
from .control import StepResult
from .coordinator import Coordinator
from .errors import IntegrityError, UsageError
from .extents import Extent
from .fleet import Fleet
from .flows import Flow
from .messages import Message, Send
from .network import RESEND_AFTER, Line, Network
from .process_server import ProcessServer, ProcessServerRoute
from .values import PRIMARY, RECOVERY, SIDES, next_due, other

__all__ = ["CHANGE_LOG", "FAULTS", "Receiver", "Simulation"]

CHANGE_LOG = "change-log"
FAULTS = ("primary-site", "recovery-site", "link", "gateway", CHANGE_LOG)

STEP_DELAY = (0.05, 2.0)
"""Seconds of virtual time before a job step, least and most."""
HOP_DELAY = (0.005, 0.05)
"""Seconds a message is under way, least and most."""
TURN_DELAY = (0.05, 0.5)
"""Seconds until an agent takes its turn under continuous replication, or when a job waits for it. It may be slower than a
job's steps: a job that does not wait for what it needs is then found out."""


def _nothing() -> None:
    """Keeps nothing."""


def _nowhere(extent: Extent) -> bytes:
    raise IntegrityError(f"{extent}: nobody reads bytes here")


Timed = tuple[float, int, Callable[[], None]]
"""When something happens, a number that tells apart what happens at the same time, and what to do."""


class Receiver(Protocol):
    """A component that messages can be delivered to."""

    def receive(self, message: Message, now: float) -> list[Send]:
        """Take a message; return the messages it causes."""


@attrs.define(slots=True)
class Agenda:
    """What is already scheduled for a machine, so that nothing is scheduled twice."""

    step: bool = False
    turn: float = math.inf
    cut: bool = False
    freeze: bool = False


class Event:
    """What happens within it is durable at its end, or has stopped the system. A mistake of the caller is found before anything
    has changed, and stops nothing. One within another is a part of it: a plan that asks its machines is one event.
    """

    __slots__ = ("_depth", "_simulation")

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._depth = 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth:
            return
        if kind is None:
            self._simulation.keep()
        elif not issubclass(kind, UsageError):
            self._simulation.stop()


class Simulation:
    """Virtual time and everything that happens in it. Implements :class:`~siteproof.impl.coordinator.Reach`."""

    def __init__(
        self, flow: Flow, rng: random.Random, network: Network | None = None, read: Callable[[Extent], bytes] = _nowhere
    ) -> None:
        self.flow = flow
        self.now = 0.0
        self.faults: set[str] = set()
        self.coordinators: dict[str, Coordinator] = {}
        self.addresses: dict[str, Receiver] = {}
        self.gateways: dict[str, ProcessServer] = {}
        self.gateway_sites: dict[str, str] = {}
        self.events = 0
        self.keep: Callable[[], None] = _nothing
        """Makes an event durable; called at its end."""
        self.stop: Callable[[], None] = _nothing
        """Called when an event fails in the middle."""
        self.fleet: Fleet | None = None
        """Groups and plans, where there are any."""
        self._rng = rng
        noise = random.Random(rng.getstate()[1][0])
        self.line = Line(network or Network(), noise, read)
        self._queue: list[Timed] = []
        self._clock: list[Timed] = []
        """What happens by the clock alone: it is run when time passes it, and nobody lets time pass for it."""
        self._order = 0
        self._breaks = 0
        self._agenda: dict[str, Agenda] = {}
        self._event = Event(self)

    def add(self, coordinator: Coordinator, receivers: Mapping[str, Receiver]) -> None:
        """Add a machine: its coordinator and its addressable components."""
        self.coordinators[coordinator.record.machine] = coordinator
        self._agenda[coordinator.record.machine] = Agenda()
        self.addresses.update(receivers)

    def add_gateway(self, site: str, gateway: ProcessServer) -> None:
        """Add a gateway that stands at a site."""
        self.gateways[gateway.name] = gateway
        self.gateway_sites[gateway.name] = site
        self.addresses[gateway.name] = gateway

    # ------------------------------------------------------------------------------------------------------- reach

    def up(self, side: str) -> bool:
        """Whether a site is up."""
        return f"{side}-site" not in self.faults

    def in_contact(self) -> bool:
        """Whether both sites and the link between them are up."""
        faults = self.faults
        return not faults or not ("link" in faults or "primary-site" in faults or "recovery-site" in faults)

    def data_path(self) -> bool:
        """Whether data can flow: contact, and no gateway is down."""
        return not self.faults

    def route(self, machine: str, source: str) -> tuple[str, str]:
        """Connect a machine's data path from ``source``; returns where the agent sends and where the target answers."""
        sides = self.coordinators[machine].sides
        agent, target = sides[source].agent_address, sides[other(source)].target_address
        on_the_way = self.flow.gateways.get(source)
        if on_the_way is None:
            return target, agent
        gateway = self.gateways[on_the_way.role]
        gateway.connect(machine, ProcessServerRoute(target=target, agent=agent))
        return gateway.name, gateway.name

    def unroute(self, machine: str) -> None:
        """The gateways forget what they hold of a machine."""
        for gateway in self.gateways.values():
            gateway.forget(machine)

    # ------------------------------------------------------------------------------------------------------ faults

    def fault(self, kind: str) -> None:
        """A fault strikes.

        Raises:
            UsageError: no such fault.
        """
        if kind not in FAULTS:
            raise UsageError(f"fault '{kind}' is not known; known: {', '.join(FAULTS)}")
        if kind == CHANGE_LOG:
            self._damage_logs()
        if kind == CHANGE_LOG or kind in self.faults or (kind == "gateway" and not self.gateways):
            return
        self.faults.add(kind)
        self._breaks += 1
        for side in SIDES:
            if kind == f"{side}-site":
                for coordinator in self.coordinators.values():
                    coordinator.power_fail(side)
        for name, gateway in self.gateways.items():
            if kind in (f"{self.gateway_sites[name]}-site", "gateway"):
                gateway.crash()
        for machine in self.coordinators:
            self.kick(machine)

    def _damage_logs(self) -> None:
        """The store of every active side's change log goes bad. Where the side has power its agent reads the logs back at
        once, as on any error of a store; else it does so when the power is back.
        """
        for machine, coordinator in self.coordinators.items():
            at = coordinator.sides[coordinator.record.active]
            if at.agent.tracking and not at.agent.resync_required:
                self._rng.choice(at.agent.files()).damage(self.now, self._rng)
                if at.host.powered:
                    at.agent.check_logs()
            self.kick(machine)

    def heal(self, kind: str) -> None:
        """A fault is over.

        Raises:
            UsageError: no such fault.
        """
        if kind not in FAULTS:
            raise UsageError(f"fault '{kind}' is not known; known: {', '.join(FAULTS)}")
        if kind not in self.faults:
            return
        self.faults.discard(kind)
        for side in (PRIMARY, RECOVERY):
            if kind == f"{side}-site":
                for coordinator in self.coordinators.values():
                    coordinator.power_up(side)
        for coordinator in self.coordinators.values():
            orphans = self._orphans(coordinator)
            if self.data_path():
                for agent in orphans:
                    self._send(agent.resend())
            coordinator.contact()
            if self.in_contact():
                coordinator.check_counts()
                for agent in orphans:
                    agent.close_session()
            coordinator.clean_up()
        for machine, coordinator in self.coordinators.items():
            coordinator.check_tracking()
            self._send_again(coordinator)
            self.kick(machine)

    def _send_again(self, coordinator: Coordinator) -> None:
        """What was under way may be lost: send it again where data may flow now. While replication is paused nothing is sent."""
        if coordinator.session is not None and self.data_path() and not coordinator.record.paused:
            self._send(coordinator.sides[coordinator.session].agent.resend())

    @staticmethod
    def _orphans(coordinator: Coordinator) -> list[ReplicationAgent]:
        """Sources that have not been told yet that replication from them is over."""
        return [
            side.agent for name, side in coordinator.sides.items()
            if name != coordinator.session and side.agent.sending_to is not None
        ]  # fmt: skip

    def resume(self) -> None:
        """The system starts again after a crash: power is back at every site that is not down, and then all is as on healing.
        The counts of the sides are compared now, or as soon as they are in contact: one of them may have been put back.
        """
        for coordinator in self.coordinators.values():
            coordinator.remember_counts()
            for side in filter(self.up, SIDES):
                coordinator.power_up(side)
        for machine, coordinator in self.coordinators.items():
            if coordinator.session is not None:
                self.route(machine, coordinator.session)
            orphans = self._orphans(coordinator)
            coordinator.contact()
            if self.in_contact():
                coordinator.check_counts()
                for agent in orphans:
                    agent.close_session()
            coordinator.clean_up()
            self.kick(machine)

    def in_doubt(self, machine: str) -> None:
        """Something of a machine could not be recorded: see to it at once."""
        self.kick(machine)

    # -------------------------------------------------------------------------------------------------- scheduling

    def _at(self, time: float, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._queue, (time, self._order, action))

    def _delay(self, bounds: tuple[float, float]) -> float:
        return bounds[0] + (bounds[1] - bounds[0]) * self._rng.random()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later, in virtual time."""
        self._at(self.now + max(0.0, seconds), action)

    def hop(self) -> float:
        """Seconds that a message between machines is under way."""
        return self._delay(HOP_DELAY)

    def kick(self, machine: str) -> None:
        """Something changed for a machine: schedule whatever has become possible and is not scheduled yet."""
        coordinator = self.coordinators[machine]
        agenda = self._agenda[machine]
        coordinator.check_tracking()
        if self.fleet is not None:
            self.fleet.changed(machine)
        if coordinator.job is not None and not agenda.step:
            agenda.step = True
            self._at(self.now + self._delay(STEP_DELAY), partial(self._step, machine))
        if coordinator.session is None:
            return
        if not self.faults and not coordinator.record.paused:
            agent = coordinator.sides[coordinator.session].agent
            if agent.may_send() and agent.pending():
                interval = coordinator.policy.replication_interval_seconds
                if interval and not coordinator.urgent():
                    due = next_due(self.now, interval)
                else:
                    due = self.now + TURN_DELAY[1]
                if due < agenda.turn:
                    if not interval or coordinator.urgent():
                        due = self.now + self._delay(TURN_DELAY)
                    agenda.turn = due
                    self._at(due, partial(self._turn, machine))
        self._note_freeze(machine)
        if not agenda.cut and coordinator.should_cut():
            every = coordinator.policy.crash_consistent_minutes * 60
            due = next_due(self.now, every)
            group = None if self.fleet is None else self.fleet.group_of(machine)
            if self.fleet is not None and group is not None:
                self.fleet.is_due(group, due)
                return
            agenda.cut = True
            self._at(due, partial(self._cut, machine))

    def _note_freeze(self, machine: str) -> None:
        """The clock has to freeze applications, if there is anything new by then."""
        coordinator, agenda = self.coordinators[machine], self._agenda[machine]
        if not agenda.freeze and coordinator.should_freeze():
            agenda.freeze = True
            self._order += 1
            due = next_due(self.now, coordinator.policy.app_consistent_hours * 3600)
            timed: Timed = (due, self._order, partial(self._freeze, machine))
            heapq.heappush(self._clock, timed)

    def _freeze(self, machine: str) -> None:
        self._agenda[machine].freeze = False
        group = None if self.fleet is None else self.fleet.group_of(machine)
        if self.fleet is not None and group is not None and group.may_begin():
            self.fleet.freeze(group)
        else:
            self.coordinators[machine].freeze_applications(self.now)
        self.kick(machine)

    def _step(self, machine: str) -> None:
        self._agenda[machine].step = False
        coordinator = self.coordinators[machine]
        paused = coordinator.record.paused
        result = coordinator.run_step(self.now)
        if paused and not coordinator.record.paused:
            self._send_again(coordinator)
        if result is not StepResult.WAIT:
            self.kick(machine)

    def _turn(self, machine: str) -> None:
        agenda = self._agenda[machine]
        if agenda.turn <= self.now:
            agenda.turn = math.inf
        coordinator = self.coordinators[machine]
        if coordinator.session is None or self.faults or coordinator.record.paused:
            return
        side = coordinator.sides[coordinator.session]
        self._send(side.agent.pump(self.now))
        self.kick(machine)

    def _cut(self, machine: str) -> None:
        self._agenda[machine].cut = False
        self.coordinators[machine].periodic_cut(self.now)

    def _send(self, sends: list[Send]) -> None:
        for send in sends:
            if self.line.goes_astray(send.message):
                self._at(self.now + RESEND_AFTER, partial(self._overdue, send.message))
                continue
            self._at(self.now + self._delay(HOP_DELAY), partial(self._deliver, send, self._breaks))
            late = self.line.late(HOP_DELAY[0])
            if late is not None:
                self._at(self.now + late, partial(self._deliver, send, None))

    def _overdue(self, message: Message) -> None:
        """A message, or its answer, has not arrived in time: the source sends again, if it still waits."""
        if self._is_awaited(message):
            self._send_again(self.coordinators[message.machine])

    def _deliver(self, send: Send, breaks: int | None) -> None:
        if breaks not in (None, self._breaks) or self.faults:
            return
        machine = send.message.machine
        try:
            self._send(self.addresses[send.to].receive(send.message, self.now))
        except IntegrityError:
            if breaks is not None and self._is_awaited(send.message):
                self.coordinators[machine].distrust()
        self.coordinators[machine].take_app_mark(self.now)
        self.kick(machine)

    def _is_awaited(self, message: Message) -> bool:
        """Whether the source still waits for the answer to a message; any other is out of date."""
        coordinator = self.coordinators[message.machine]
        sent = None if coordinator.session is None else coordinator.sides[coordinator.session].agent.in_flight
        return sent is not None and (sent.epoch, sent.number) == (message.epoch, message.number)

    # --------------------------------------------------------------------------------------------------------- time

    def event(self) -> Event:
        """What happens within it is one event."""
        return self._event

    def _first(self) -> list[Timed]:
        """Where the next event is: among those that something waits for, or among the clock's."""
        return self._clock if self._clock and (not self._queue or self._clock[0] < self._queue[0]) else self._queue

    def _run_next(self) -> None:
        time, _, action = heapq.heappop(self._first())
        self.now = max(self.now, time)
        self.events += 1
        try:
            action()
        except BaseException:
            self.stop()
            raise
        self.keep()

    def step(self) -> bool:
        """Run the next event, letting time pass up to it; ``False`` when nothing is scheduled."""
        if not self._queue:
            return False
        self._run_next()
        return True

    def advance(self, seconds: float) -> None:
        """Let virtual time pass, with everything that falls due."""
        end = self.now + seconds
        while (first := self._first()) and first[0][0] <= end:
            self._run_next()
        self.now = end
        self._expire()

    def step_until(self, end: float) -> bool:
        """Run the next event if it falls due by a moment, else let time pass until then; whether there was an event."""
        first = self._first()
        due = bool(first) and first[0][0] <= end
        if due:
            self._run_next()
        else:
            self.now = max(self.now, end)
        self._expire()
        return due

    def _expire(self) -> None:
        with self.event():
            for coordinator in self.coordinators.values():
                coordinator.expire(self.now)

    def settle(self, limit: float) -> bool:
        """Let time pass until nothing is scheduled any more; ``False`` when the limit (seconds) comes first."""
        end = self.now + limit
        while self._queue:
            if self._queue[0][0] > end:
                self.now = end
                return False
            self._run_next()
        return True
