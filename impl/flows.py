"""What each implemented flow can do, and of which components it is made. Code, not data: see :mod:`.loader`.

======================  =====================  ==========================
fact                    vmware-to-azure        hyper-v-to-secondary-site
======================  =====================  ==========================
failover to recovery    unplanned (V2A-44)     planned, unplanned (H2S-23)
failover back           unplanned (V2A-50)     planned, unplanned (H2S-23)
after a planned one     --                     protected (H2S-28)
after an unplanned one  not protected          not protected (H2S-27)
committed failback      ends protection        reverse again (H2S-32)
gateway                 process server         none (H2S-14)
======================  =====================  ==========================
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .errors import TopologyError, UnknownFlowError
from .loader import Topology
from .values import PRIMARY, RECOVERY, Operation

__all__ = ["FLOWS", "Flow", "flow_of"]


@attrs.frozen(slots=True)
class Flow:
    """Facts of a flow. Role names are the documented component names, by side where the sides differ."""

    id: str
    failovers: Mapping[str, frozenset[str]]
    """Failover kinds offered, by the side that is active when they are asked for."""
    failback_ends_protection: bool
    agents: Mapping[str, str]
    """Role of the component that tracks and sends, by side."""
    targets: Mapping[str, str]
    """Role of the component that receives and keeps points, by side."""
    gateways: Mapping[str, str]
    """Role of the gateway on each side; empty when data goes from host to host."""
    coordinator: str
    needed_kinds: Mapping[str, frozenset[str]]
    """Component kinds a topology must deploy, by side."""

    def offers(self, operation: str, active: str) -> bool:
        """Whether the flow has the operation at all while ``active`` is the active side."""
        if operation in (Operation.PLANNED, Operation.UNPLANNED):
            return operation in self.failovers[active]
        return operation in (Operation.ENABLE, Operation.COMMIT, Operation.REVERSE)

    @property
    def has_gateway(self) -> bool:
        """Whether data passes a process server."""
        return bool(self.gateways)


_BOTH = frozenset({Operation.PLANNED, Operation.UNPLANNED})
_UNPLANNED = frozenset({Operation.UNPLANNED})

FLOWS: Mapping[str, Flow] = {
    flow.id: flow
    for flow in (
        Flow(
            id="vmware-to-azure",
            failovers={PRIMARY: _UNPLANNED, RECOVERY: _UNPLANNED},
            failback_ends_protection=True,
            agents={PRIMARY: "mobility-service", RECOVERY: "mobility-service"},
            targets={PRIMARY: "master-target", RECOVERY: "storage-account"},
            gateways={PRIMARY: "process-server", RECOVERY: "temporary-process-server"},
            coordinator="configuration-server",
            needed_kinds={
                PRIMARY: frozenset({"configuration-server", "process-server", "master-target", "mobility-service"}),
                RECOVERY: frozenset({"storage-account", "process-server"}),
            },
        ),
        Flow(
            id="hyper-v-to-secondary-site",
            failovers={PRIMARY: _BOTH, RECOVERY: _BOTH},
            failback_ends_protection=False,
            agents={PRIMARY: "hyper-v-agent", RECOVERY: "hyper-v-agent"},
            targets={PRIMARY: "replica-host", RECOVERY: "replica-host"},
            gateways={},
            coordinator="provider",
            needed_kinds={PRIMARY: frozenset({"hyper-v-host", "provider"}), RECOVERY: frozenset({"hyper-v-host"})},
        ),
    )
}


def flow_of(topology: Topology) -> Flow:
    """The flow of a topology.

    Raises:
        UnknownFlowError: no such flow is implemented.
        TopologyError: a component that the flow needs is not deployed.
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
    return flow
