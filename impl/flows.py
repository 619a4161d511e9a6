"""What each flow can do, and of which components it is made. Code, not data: see :mod:`.loader`.

=======================  ================  ======================  =====================  =======================
fact                     VMware, physical  Hyper-V to Azure        Scout                  Hyper-V to a second site
                         to Azure          (with and without VMM)
=======================  ================  ======================  =====================  =======================
failover to recovery     unplanned         planned, unplanned      unplanned              planned, unplanned
failover back            unplanned         planned                 unplanned              planned, unplanned
protected after planned  --                no                      --                     yes
way back                 reverse, then     the failover back       reverse, then          reverse, then
                         fail over         copies by itself        fail over              fail over
committed failback       ends protection   reverse protects again  ends protection        reverse again
test failover            of a failover to  of a failover to        no                     both ways
                         recovery          recovery
change of point          after a failover  after a failover to     no                     both ways
                         to recovery       recovery
complete migration       yes               yes                     no                     no
pause and resume         no                yes                     no                     yes
multi-VM consistency     yes               no                      no                     no
recovery plans           yes               yes                     no                     yes
scripts in a plan        to recovery       both ways with VMM,     no                     both ways
                                           else to recovery
gateway                  process server;   none                    process server at      none
                         temporary one                             primary, both ways
                         on the way back
content on the way       compressed and    compressed and          compressed by the      as it is
                         encrypted by it   encrypted by the agent  process server
=======================  ================  ======================  =====================  =======================

Every flow can end protection, and can be resynchronised. What goes to Azure leaves the zone that the owner of the machines
trusts: it is compressed and encrypted before. Between two sites of the owner's what is done is what the source names.

Sources: GEN-17; V2A-12, V2A-13, V2A-43, V2A-44, V2A-49 to V2A-53; P2A-1 to P2A-5; H2A-16 to H2A-18, H2A-21, H2A-34,
H2A-42 to H2A-46; S-V2S-4 to S-V2S-17, S-V2S-25; H2S-14, H2S-22, H2S-23, H2S-27 to H2S-32.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .errors import TopologyError, UnknownFlowError
from .loader import Topology
from .values import HOST_OPERATIONS, OPERATIONS, PRIMARY, RECOVERY, SIDES, Operation

__all__ = ["FLOWS", "Flow", "Gateway", "Sealing", "flow_of"]


@attrs.frozen(slots=True)
class Gateway:
    """A replication gateway: its role, and the site where it stands."""

    role: str
    site: str


@attrs.frozen(slots=True)
class Sealing:
    """What is done to content before it is sent to the target."""

    compresses: bool = False
    encrypts: bool = False
    by_agent: bool = False
    """Whether the agent does it itself; else the gateway does."""


@attrs.frozen(slots=True, kw_only=True)
class Flow:
    """Facts of a flow. Role names are the documented component names, by side where the sides differ."""

    id: str
    failovers: Mapping[str, frozenset[str]]
    """Failover kinds offered, by the side that is active when they are asked for."""
    reverses: frozenset[str] = frozenset(SIDES)
    """Active sides at which ``ReverseReplicate`` is offered."""
    failback_copies: bool = False
    """Whether the planned failover back starts from a committed failover and copies the changes back itself (H2A-46)."""
    planned_leaves_protected: bool = False
    failback_ends_protection: bool
    tests: frozenset[str] = frozenset()
    """Active sides at which ``TestFailover`` is offered."""
    changes_point: frozenset[str] = frozenset()
    """Sides that a failover led to, at which ``ChangePit`` is offered before the commit."""
    completes_migration: bool = False
    groups: bool = False
    """Whether machines can have recovery points in common: multi-VM consistency (V2A-36)."""
    pauses: bool = False
    """Whether replication can be paused and resumed (Hyper-V Replica)."""
    thins_points: bool = False
    """Whether old recovery points are thinned before retention removes them."""
    plans: bool = True
    """Whether recovery plans cover several machines (GEN-15, which names no plan for Scout)."""
    scripts: frozenset[str] = frozenset({PRIMARY})
    """Active sides from which a failover by a plan can run scripts (or runbooks); manual actions always can."""
    machine: str
    """What kind of machine is protected at first."""
    failback_machine: str
    """What kind of machine a failback makes at primary. If it is another kind, the whole content goes back (P2A-4)."""
    agents: Mapping[str, str]
    """Role of the component that tracks and sends, by side."""
    targets: Mapping[str, str]
    """Role of the component that receives and keeps points, by side."""
    gateways: Mapping[str, Gateway] = attrs.field(factory=dict)
    """The gateway that data passes, by the side it comes from; empty when it goes straight to the target."""
    sealing: Sealing = Sealing()
    encrypted_at_rest: frozenset[str] = frozenset()
    """Sides whose disks are stored encrypted."""
    coordinator: str
    needed_kinds: Mapping[str, frozenset[str]]
    """Component kinds a topology must deploy, by side."""
    installed_on: Mapping[str, str] = attrs.field(factory=dict)
    """Component kind, and the kind of component it is installed on, where the document leaves no choice."""

    _offered: frozenset[tuple[str, str]] = attrs.field(init=False, repr=False, eq=False)
    """What :meth:`offers` says, worked out once: it is asked of every operation whenever a machine is looked at."""

    @_offered.default
    def _offers_all(self) -> frozenset[tuple[str, str]]:
        operations = (*OPERATIONS, *HOST_OPERATIONS)
        return frozenset((one, active) for one in operations for active in SIDES if self._has(one, active))

    def offers(self, operation: str, active: str) -> bool:
        """Whether the flow has the operation at all while ``active`` is the active side."""
        return (operation, active) in self._offered

    def _has(self, operation: str, active: str) -> bool:
        if operation in (Operation.PLANNED, Operation.UNPLANNED):
            return operation in self.failovers[active]
        if operation == Operation.REVERSE:
            return active in self.reverses
        if operation == Operation.TEST:
            return active in self.tests
        if operation == Operation.CLEANUP:
            return bool(self.tests)
        if operation == Operation.CHANGE:
            return active in self.changes_point
        if operation == Operation.MIGRATE:
            return self.completes_migration and active == RECOVERY
        if operation in (Operation.PAUSE, Operation.RESUME):
            return self.pauses
        return operation in (Operation.ENABLE, Operation.COMMIT, Operation.DISABLE, Operation.REPAIR)

    def copies_back(self, operation: str, active: str) -> bool:
        """Whether an operation is the failback that copies by itself, and needs no protection before it."""
        return self.failback_copies and operation == Operation.PLANNED and active == RECOVERY

    @property
    def has_gateway(self) -> bool:
        """Whether data passes a process server."""
        return bool(self.gateways)


_PLANNED = frozenset({Operation.PLANNED})
_UNPLANNED = frozenset({Operation.UNPLANNED})
_BOTH = _PLANNED | _UNPLANNED

_VMWARE_TO_AZURE = Flow(
    id="vmware-to-azure",
    failovers={PRIMARY: _UNPLANNED, RECOVERY: _UNPLANNED},
    failback_ends_protection=True,
    tests=frozenset({PRIMARY}),
    changes_point=frozenset({RECOVERY}),
    completes_migration=True,
    groups=True,
    thins_points=True,
    machine="vmware-vm",
    failback_machine="vmware-vm",
    agents={PRIMARY: "mobility-service", RECOVERY: "mobility-service"},
    targets={PRIMARY: "master-target", RECOVERY: "storage-account"},
    gateways={
        PRIMARY: Gateway("process-server", PRIMARY),
        RECOVERY: Gateway("temporary-process-server", RECOVERY),
    },
    sealing=Sealing(compresses=True, encrypts=True),
    coordinator="configuration-server",
    needed_kinds={
        PRIMARY: frozenset({"configuration-server", "process-server", "master-target", "mobility-service"}),
        RECOVERY: frozenset({"storage-account", "process-server"}),
    },
)

# As VMware, but what comes back is a VMware machine: the premises need VMware for it (P2A-1, P2A-3 to P2A-5).
_PHYSICAL_TO_AZURE = attrs.evolve(
    _VMWARE_TO_AZURE,
    id="physical-to-azure",
    machine="physical-server",
    needed_kinds={
        PRIMARY: _VMWARE_TO_AZURE.needed_kinds[PRIMARY] | {"esxi-host"},
        RECOVERY: _VMWARE_TO_AZURE.needed_kinds[RECOVERY],
    },
)

_HYPER_V_VMM_TO_AZURE = Flow(
    id="hyper-v-vmm-to-azure",
    failovers={PRIMARY: _BOTH, RECOVERY: _PLANNED},
    reverses=frozenset({PRIMARY}),
    failback_copies=True,
    failback_ends_protection=False,
    tests=frozenset({PRIMARY}),
    changes_point=frozenset({RECOVERY}),
    completes_migration=True,
    pauses=True,
    scripts=frozenset(SIDES),
    machine="hyper-v-vm",
    failback_machine="hyper-v-vm",
    agents={PRIMARY: "hyper-v-agent", RECOVERY: "hyper-v-agent"},
    targets={PRIMARY: "replica-host", RECOVERY: "storage-account"},
    sealing=Sealing(compresses=True, encrypts=True, by_agent=True),
    encrypted_at_rest=frozenset({RECOVERY}),
    coordinator="provider",
    needed_kinds={
        PRIMARY: frozenset({"vmm-server", "provider", "hyper-v-host", "recovery-services-agent"}),
        RECOVERY: frozenset({"storage-account"}),
    },
    installed_on={"provider": "vmm-server", "recovery-services-agent": "hyper-v-host"},
)

# Without VMM the Provider is on the host, beside the agent (H2A-14, H2A-27).
_HYPER_V_SITE_TO_AZURE = attrs.evolve(
    _HYPER_V_VMM_TO_AZURE,
    id="hyper-v-site-to-azure",
    scripts=frozenset({PRIMARY}),
    needed_kinds={
        PRIMARY: _HYPER_V_VMM_TO_AZURE.needed_kinds[PRIMARY] - {"vmm-server"},
        RECOVERY: _HYPER_V_VMM_TO_AZURE.needed_kinds[RECOVERY],
    },
    installed_on={"provider": "hyper-v-host", "recovery-services-agent": "hyper-v-host"},
)

_SCOUT_TO_SECONDARY_SITE = Flow(
    id="scout-to-secondary-site",
    failovers={PRIMARY: _UNPLANNED, RECOVERY: _UNPLANNED},
    failback_ends_protection=True,
    plans=False,
    machine="vmware-vm",
    failback_machine="vmware-vm",
    agents={PRIMARY: "unified-agent", RECOVERY: "unified-agent"},
    targets={PRIMARY: "master-target", RECOVERY: "master-target"},
    gateways={PRIMARY: Gateway("process-server", PRIMARY), RECOVERY: Gateway("process-server", PRIMARY)},
    sealing=Sealing(compresses=True),
    coordinator="configuration-server",
    needed_kinds={
        PRIMARY: frozenset({"unified-agent", "process-server", "master-target"}),
        RECOVERY: frozenset({"configuration-server", "master-target"}),
    },
)

_HYPER_V_TO_SECONDARY_SITE = Flow(
    id="hyper-v-to-secondary-site",
    failovers={PRIMARY: _BOTH, RECOVERY: _BOTH},
    planned_leaves_protected=True,
    failback_ends_protection=False,
    tests=frozenset(SIDES),
    changes_point=frozenset(SIDES),
    pauses=True,
    scripts=frozenset(SIDES),
    machine="hyper-v-vm",
    failback_machine="hyper-v-vm",
    agents={PRIMARY: "hyper-v-agent", RECOVERY: "hyper-v-agent"},
    targets={PRIMARY: "replica-host", RECOVERY: "replica-host"},
    coordinator="provider",
    needed_kinds={PRIMARY: frozenset({"hyper-v-host", "provider"}), RECOVERY: frozenset({"hyper-v-host"})},
)

FLOWS: Mapping[str, Flow] = {
    flow.id: flow
    for flow in (
        _VMWARE_TO_AZURE,
        _PHYSICAL_TO_AZURE,
        _HYPER_V_VMM_TO_AZURE,
        _HYPER_V_SITE_TO_AZURE,
        _SCOUT_TO_SECONDARY_SITE,
        _HYPER_V_TO_SECONDARY_SITE,
    )
}


def flow_of(topology: Topology) -> Flow:
    """The flow of a topology.

    Raises:
        UnknownFlowError: no such flow is implemented.
        TopologyError: a component that the flow needs is not deployed, or is installed where it must not be.
    """
    flow = FLOWS.get(topology.id)
    if flow is None:
        raise UnknownFlowError(f"flow '{topology.id}' is not implemented; implemented: {', '.join(sorted(FLOWS))}")
    for side, kinds in flow.needed_kinds.items():
        missing = sorted(kinds - topology.kinds(side))
        if missing:
            raise TopologyError(
                f"topology '{topology.id}': no component of kind {', '.join(missing)} on the {side} side; deploy one"
            )
    for component in topology.components.values():
        expected = flow.installed_on.get(component.kind)
        host = topology.components.get(component.host or "")
        if expected is not None and host is not None and host.kind != expected:
            raise TopologyError(
                f"topology '{topology.id}': component '{component.id}' is installed on '{host.id}' of kind {host.kind};"
                f" {expected} expected"
            )
    return flow
