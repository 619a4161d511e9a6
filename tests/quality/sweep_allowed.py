"""What the sweep of the model leaves unnoticed, and why that is right: by mutant, the flows and the reason.

Flows: A is VMware to Azure, S Hyper-V to a secondary site, V Hyper-V with VMM to Azure. Written by
`python -m tests.quality.test_sweep_of_the_model`; the reasons are for people to write. One that begins with GAP names a claim
that is missing.
"""

ALLOWED: dict[str, tuple[str, str]] = {
    "boot change reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "boot change running": ("ASV", "power: no claim says yet which side runs, and when"),
    "boot guard 0": ("ASV", "power: no claim says yet which side runs, and when"),
    "boot guard 1": ("ASV", "power: no claim says yet which side runs, and when"),
    "boot_former_source change passive_reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "boot_former_source change passive_running": ("ASV", "power: no claim says yet which side runs, and when"),
    "boot_former_source guard 1": ("ASV", "power: no claim says yet which side runs, and when"),
    "commit change half": (
        "ASV", "bookkeeping: it is false already whenever a failover is pending and no job runs (open: lemma missing)"),
    "commit change job": ("ASV", "progress only: the job stays where it is (P19 when it comes)"),
    "commit guard 1 NoFailoverToCommit": ("ASV", "lifecycle: P13 (which request is accepted in which state) when it comes"),
    "commit_first_half change half": ("ASV", "bookkeeping: only the other half and the next job read it, and each sets it first"),
    "commit_first_half change x_latest": ("ASV", "points that are gone: nothing reads what they held"),
    "commit_first_half change x_point": ("ASV", "points that are gone: nothing reads what they held"),
    "commit_first_half guard 1": ("ASV", "progress only: too early a step changes nothing that is claimed"),
    "commit_first_half guard 2": ("ASV", "progress only: too early a step changes nothing that is claimed"),
    "commit_second_half change direction": (
        "A", "lifecycle: what a committed failback leaves (P12 speaks of a protected machine only)"),
    "commit_second_half change half": (
        "ASV", "bookkeeping: only the other half and the next job read it, and each sets it first"),
    "commit_second_half change job": (
        "ASV", "the job goes on: a second end of the same job breaks no claim; P16 and P19 when they come"),
    "commit_second_half change protection": (
        "A", "lifecycle: what a committed failback leaves (P12 speaks of a protected machine only)"),
    "commit_second_half guard 0": ("A", "one job a machine: another job's second half ends as a commit (P16 when it comes)"),
    "commit_second_half guard 2": ("ASV", "progress only: too early a step changes nothing that is claimed"),
    "contact change passive_cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "contact guard 0": (
        "ASV", "reachability: no claim says that contact or copying takes a connection or an old epoch (P22, P5 when they come)"),
    "contact guard 1": (
        "ASV", "reachability: no claim says that contact or copying takes a connection or an old epoch (P22, P5 when they come)"),
    "copy_base change half": ("ASV", "progress only: the job stays where it is (P19 when it comes); a copy may be made twice"),
    "copy_base guard 1": ("ASV", "progress only: the job stays where it is (P19 when it comes); a copy may be made twice"),
    "copy_base guard 2": (
        "ASV", "reachability: no claim says that contact or copying takes a connection or an old epoch (P22, P5 when they come)"),
    "cut_equal_point change point": ("ASV", "bookkeeping: read only while a point is kept, so a stale value says nothing"),
    "cut_equal_point guard 1": ("ASV", "fewer points: a point need not be kept, no claim asks for one"),
    "cut_point change point": ("ASV", "bookkeeping: read only while a point is kept, so a stale value says nothing"),
    "cut_point guard 1": ("ASV", "fewer points: a point need not be kept, no claim asks for one"),
    "enable_protection change half": ("ASV", "bookkeeping: it is false already whenever no job runs (open: lemma missing)"),
    "enable_protection change job": ("ASV", "progress only: the job stays where it is (P19 when it comes)"),
    "enable_protection change protection": (
        "ASV", "lifecycle: finish_copy protects all the same, and nothing is read before (P13 when it comes)"),
    "enable_protection guard 2 SourceNotRunning": ("ASV", "precheck: P13 when it comes"),
    "enable_protection guard 3 SitesNotConnected": ("ASV", "precheck: P13 when it comes"),
    "fail_gateway change disturbed": ("A", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "fail_gateway change gateway_up": ("A", "environment: the mutant can do less, so every claim holds of it"),
    "fail_gateway guard 0": ("SV", "environment: one fault more; shipping stops, which no claim forbids"),
    "fail_gateway guard 1": ("A", "environment: without it the step repeats what is so already"),
    "fail_link change disturbed": ("ASV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "fail_link change link_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "fail_link guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "fail_planned change disturbed": ("ASV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "fail_planned change half": ("ASV", "bookkeeping: set anew before it is read"),
    "fail_planned change job": (
        "ASV", "the job goes on: a second end of the same job breaks no claim; P16 and P19 when they come"),
    "fail_planned guard 0": ("ASV", "one job a machine: P16 when it comes"),
    "fail_planned guard 1": ("A", "no planned failover is offered in this flow"),
    "fail_planned_restarting change disturbed": ("ASV", "bookkeeping: the next planned failover sets it first"),
    "fail_planned_restarting change half": ("ASV", "bookkeeping: the next job sets it first"),
    "fail_planned_restarting change job": ("ASV", "progress only: the job stays where it is (P19 when it comes)"),
    "fail_planned_restarting change reboots": ("ASV", "power: the source runs already"),
    "fail_planned_restarting change running": ("ASV", "it is then the same as fail_planned"),
    "fail_planned_restarting guard 0": ("ASV", "it is bound to the job by what disturbs it (open: lemma missing)"),
    "fail_planned_restarting guard 1": ("A", "no planned failover is offered in this flow"),
    "fail_planned_restarting guard 2": ("ASV", "power: a site without power is the protocol level's matter"),
    "fail_primary_site change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "fail_primary_site change disturbed": ("ASV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "fail_primary_site change passive_cached": (
        "ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "fail_primary_site change passive_reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_primary_site change passive_running": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_primary_site change primary_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "fail_primary_site change reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_primary_site change running": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_primary_site guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "fail_recovery_site change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "fail_recovery_site change disturbed": ("ASV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "fail_recovery_site change passive_cached": (
        "ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "fail_recovery_site change passive_reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_recovery_site change passive_running": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_recovery_site change reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_recovery_site change recovery_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "fail_recovery_site change running": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_recovery_site guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "finish_copy change direction": (
        "V", "lifecycle: a copy that does not protect breaks no claim, it only offers less (P12 and P19 when they come)"),
    "finish_copy change failover": (
        "V", "lifecycle: a copy that does not protect breaks no claim, it only offers less (P12 and P19 when they come)"),
    "finish_copy change half": ("ASV", "progress only: the job stays where it is (P19 when it comes); a copy may be made twice"),
    "finish_copy change job": (
        "ASV", "the job goes on: a second end of the same job breaks no claim; P16 and P19 when they come"),
    "finish_copy change point": ("ASV", "bookkeeping: read only while a point is kept, so a stale value says nothing"),
    "finish_copy change protection": (
        "ASV", "lifecycle: a copy that does not protect breaks no claim, it only offers less (P12 and P19 when they come)"),
    "finish_copy guard 1": (
        "V", "first copy: an empty replica is a prefix too; that a copy is complete is P10 and P23 when they come"),
    "finish_copy guard 2": (
        "ASV", "reachability: no claim says that contact or copying takes a connection or an old epoch (P22, P5 when they come)"),
    "flush change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "flush guard 1": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "flush_before_stop change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "flush_before_stop change head": ("A", "no planned failover in this flow: the invariant does not say so, the search does"),
    "flush_before_stop change x_active": ("A", "no planned failover is offered in this flow"),
    "flush_before_stop change x_at": ("A", "no planned failover in this flow: the invariant does not say so, the search does"),
    "flush_before_stop change x_fate": ("ASV", "marks: the mutant marks or places fewer writes, which no claim forbids"),
    "flush_before_stop guard 0": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "flush_before_stop guard 1": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "flush_before_stop guard 3": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "flush_before_stop guard 4": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "flush_former_source change passive_cached": (
        "ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "flush_former_source change x_fate": ("ASV", "marks: the mutant marks or places fewer writes, which no claim forbids"),
    "flush_former_source change x_passive": ("ASV", "marks: the mutant marks or places fewer writes, which no claim forbids"),
    "flush_former_source guard 0": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "flush_former_source guard 1": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "heal_gateway change gateway_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "heal_gateway guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "heal_link change link_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "heal_link guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "heal_primary_site change primary_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "heal_primary_site guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "heal_recovery_site change recovery_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "heal_recovery_site guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "planned_failover change disturbed": ("SV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "planned_failover change half": ("SV", "progress only: the job stays where it is (P19 when it comes)"),
    "planned_failover change job": ("SV", "progress only: the job stays where it is (P19 when it comes)"),
    "planned_failover guard 0 OperationNotSupported": ("A", "capability: tested with P18, no claim names it"),
    "planned_failover guard 2 NotProtected": ("SV", "lifecycle: P13 (which request is accepted in which state) when it comes"),
    "planned_failover guard 3 FailoverPending": ("SV", "lifecycle: P13 (which request is accepted in which state) when it comes"),
    "planned_failover guard 4 SourceNotRunning": ("SV", "precheck: P13 when it comes"),
    "planned_failover guard 5 SitesNotConnected": ("SV", "precheck: P13 when it comes"),
    "prune_point change point": ("ASV", "bookkeeping: read only while a point is kept, so a stale value says nothing"),
    "prune_point change x_point": ("ASV", "bookkeeping: read only while a point is kept, so a stale value says nothing"),
    "prune_point guard 1": ("ASV", "fewer points: a point need not be kept, no claim asks for one"),
    "prune_point guard 2": ("ASV", "fewer points: a point need not be kept, no claim asks for one"),
    "replicate guard 0": ("ASV", "progress only: the job stays where it is (P19 when it comes); a copy may be made twice"),
    "replicate guard 1": (
        "ASV", "reachability: no claim says that contact or copying takes a connection or an old epoch (P22, P5 when they come)"),
    "reverse_replicate change half": ("ASV", "bookkeeping: it is false already whenever no job runs (open: lemma missing)"),
    "reverse_replicate change job": ("ASV", "progress only: the job stays where it is (P19 when it comes)"),
    "reverse_replicate guard 0 OperationNotSupported": ("V", "capability: tested with P18, no claim names it"),
    "reverse_replicate guard 1 JobInProgress": ("V", "the lifecycle condition excludes the other jobs (open: lemma missing)"),
    "reverse_replicate guard 2 FailoverNotCommitted": (
        "V", "lifecycle: P13 (which request is accepted in which state) when it comes"),
    "reverse_replicate guard 3 SitesNotConnected": ("ASV", "precheck: P13 when it comes"),
    "start_former_source change passive_reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_former_source change passive_running": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_former_source guard 0": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_former_source guard 1": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_machine change disturbed": ("ASV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "start_machine change reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_machine change running": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_machine guard 0": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_machine guard 1": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_if_reachable change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "stop_if_reachable change running": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_if_reachable guard 0": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_if_reachable guard 1": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_if_reachable guard 2": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_source change reboots": (
        "ASV", "progress only: the job stays where it is (P19 when it comes); the switch waits for a stopped source"),
    "stop_source change running": (
        "ASV", "progress only: the job stays where it is (P19 when it comes); the switch waits for a stopped source"),
    "stop_source guard 1": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_source guard 2": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_source guard 3": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_source guard 4": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_source guard 5": ("A", "no planned failover in this flow: the invariant does not say so, the search does"),
    "switch_planned change active": (
        "A", "no planned failover is offered in this flow"),
    "switch_planned change disturbed": ("ASV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "switch_planned change epoch": ("A", "no planned failover in this flow: the invariant does not say so, the search does"),
    "switch_planned change failover": ("A", "no planned failover in this flow: the invariant does not say so, the search does"),
    "switch_planned change half": ("ASV", "bookkeeping: set anew before it is read"),
    "switch_planned change job": (
        "ASV", "the job goes on: a second end of the same job breaks no claim; P16 and P19 when they come"),
    "switch_planned change passive_epoch": (
        "A", "no planned failover in this flow: the invariant does not say so, the search does"),
    "switch_planned change protection": ("ASV", "capability: what a failover leaves protected (P18 when it comes)"),
    "switch_planned change running": (
        "A", "no planned failover is offered in this flow"),
    "switch_planned guard 0": ("ASV", "one job a machine: P16 when it comes"),
    "switch_planned guard 1": (
        "ASV", "reachability: no claim says that a planned switch takes a connection; drain and stop are claimed"),
    "switch_planned guard 3": ("A", "no planned failover in this flow: the invariant does not say so, the search does"),
    "switch_planned guard 4": ("A", "no planned failover in this flow: the invariant does not say so, the search does"),
    "switch_planned guard 5": (
        "ASV", "bookkeeping: only stop_source stops the source for good, and it asks for the half already"),
    "switch_planned guard 6": ("A", "no planned failover in this flow: the invariant does not say so, the search does"),
    "switch_unplanned change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "switch_unplanned change disturbed": ("ASV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "switch_unplanned change half": ("ASV", "bookkeeping: set anew before it is read"),
    "switch_unplanned change job": (
        "ASV", "the job goes on: a second end of the same job breaks no claim; P16 and P19 when they come"),
    "switch_unplanned change loss": ("ASV", "bookkeeping: read only once the loss is known, and then it is set"),
    "switch_unplanned change loss_known": (
        "ASV", "noticed after two failovers, deeper than this search: see test_mutations_of_the_model"),
    "switch_unplanned change passive_cached": (
        "ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "switch_unplanned change passive_reboots": (
        "ASV", "power: no claim says yet which side runs, and when; a switch that does not change the side is no switch"),
    "switch_unplanned change passive_running": (
        "ASV", "power: no claim says yet which side runs, and when; a switch that does not change the side is no switch"),
    "switch_unplanned change protection": ("ASV", "capability: what a failover leaves protected (P18 when it comes)"),
    "switch_unplanned change reboots": (
        "ASV", "power: no claim says yet which side runs, and when; a switch that does not change the side is no switch"),
    "switch_unplanned guard 1": ("ASV", "precheck: P13 when it comes"),
    "unplanned_failover change chosen": (
        "ASV", "the switch is exact for the point it uses; that it is the requested one is P13 when it comes"),
    "unplanned_failover change job": ("ASV", "progress only: the job stays where it is (P19 when it comes)"),
    "unplanned_failover guard 0 OperationNotSupported": ("V", "capability: tested with P18, no claim names it"),
    "unplanned_failover guard 1 JobInProgress": ("ASV", "one job a machine: P16 when it comes"),
    "unplanned_failover guard 3 FailoverPending": (
        "ASV", "lifecycle: P13 (which request is accepted in which state) when it comes"),
    "unplanned_failover guard 4 TargetSiteDown": ("ASV", "precheck: P13 when it comes"),
    "write guard 1": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "write_cached change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "write_cached guard 0": ("A", "writes: no claim says yet that only a running guest writes, oldest first"),
    "write_cached_former_source change passive_cached": (
        "ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "write_cached_former_source guard 0": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "write_former_source change x_fate": ("ASV", "marks: the mutant marks or places fewer writes, which no claim forbids"),
    "write_former_source change x_passive": ("ASV", "marks: the mutant marks or places fewer writes, which no claim forbids"),
    "write_former_source guard 1": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
}
