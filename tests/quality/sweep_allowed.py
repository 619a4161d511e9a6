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
    "boot_test_copy change test_running": ("ASV", "power: no claim says when a test copy that may run does run"),
    "boot_test_copy guard 1": ("ASV", "power: no claim says when a test copy that may run does run; one that runs stays so"),
    "boot_test_copy guard 2": ("ASV", "power: no claim says when a test copy that may run does run"),
    "call_for_resync change disturbed": (
        "SV", "disturbance: a planned failover fails less often, which breaks no claim (P19, explored)"),
    "call_for_resync change doubt": (
        "ASV",
        "caution: with less doubt there are fewer calls, with more doubt more, and no claim says how many; P9 asks "
        "for a cause"),
    "call_for_resync change x_gap": ("ASV", "marks: fewer writes are said to be in no log, and the claims speak of those only"),
    "call_for_resync guard 0": (
        "ASV",
        "the call comes in more states; a machine that is not replicated, or whose job goes on, is called for without "
        "harm to a claim"),
    "call_out_of_caution change disturbed": (
        "SV", "disturbance: a planned failover fails less often, which breaks no claim (P19, explored)"),
    "call_out_of_caution change doubt": (
        "ASV",
        "caution: with less doubt there are fewer calls, with more doubt more, and no claim says how many; P9 asks "
        "for a cause"),
    "call_out_of_caution change x_gap": (
        "ASV", "marks: fewer writes are said to be in no log, and the claims speak of those only"),
    "call_out_of_caution guard 0": (
        "ASV",
        "the call comes in more states; a machine that is not replicated, or whose job goes on, is called for without "
        "harm to a claim"),
    "call_out_of_caution guard 2": ("ASV", "with a spoiled log it does what call_for_resync does"),
    "change_pit change chosen": (
        "ASV",
        "the switch is exact for the point it uses; that it is the requested one is P13's accepting half, explored "
        "and not claimed"),
    "change_pit guard 1 OperationNotSupported": ("AV", "capability: tested with P18, no claim names it"),
    "change_pit guard 4 NoFailoverToChange": (
        "A",
        "lifecycle: P13's accepting half is explored, not claimed; no claim forbids the request in this state "
        "(noticed in the other flows)"),
    "change_pit guard 5 TargetSiteDown": (
        "ASV", "precheck: P13's accepting half is explored, not claimed; the job waits until it can go on"),
    "commit_first_half change half": ("ASV", "bookkeeping: only the other half and the next job read it, and each sets it first"),
    "commit_first_half change x_app": ("ASV", "points that are gone: nothing reads what they held"),
    "commit_first_half change x_latest": ("ASV", "points that are gone: nothing reads what they held"),
    "commit_first_half change x_point": ("ASV", "points that are gone: nothing reads what they held"),
    "commit_first_half guard 1": ("ASV", "progress only: too early a step changes nothing that is claimed"),
    "commit_first_half guard 2": ("ASV", "progress only: too early a step changes nothing that is claimed"),
    "commit_second_half change changed": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "commit_second_half change chosen": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "commit_second_half change direction": (
        "A", "lifecycle: what a committed failback leaves (P12 speaks of a protected machine only)"),
    "commit_second_half change half": ("V", "bookkeeping: only the other half and the next job read it, and each sets it first"),
    "commit_second_half change job": ("ASV", "the job goes on: a second end of the same job breaks no claim (P19, explored)"),
    "commit_second_half change protection": (
        "A", "lifecycle: what a committed failback leaves (P12 speaks of a protected machine only)"),
    "commit_second_half guard 2": ("ASV", "progress only: too early a step changes nothing that is claimed"),
    "compare change doubt": (
        "ASV",
        "caution: with less doubt there are fewer calls, with more doubt more, and no claim says how many; P9 asks "
        "for a cause"),
    "compare change half": (
        "ASV", "progress only: the job's second half is reached later or again, and does the same (P19, explored)"),
    "compare change spoiled": ("ASV", "progress only: the merge waits for a comparison with a sound log (P19, explored)"),
    "compare guard 1": ("ASV", "comparing once more, later, takes note of more; without a merge it changes nothing"),
    "compare guard 2": ("ASV", "comparing once more, later, takes note of more"),
    "compare guard 3": ("ASV", "reachability: no claim says that copying, comparing or merging takes a connection"),
    "complete_migration guard 1 OperationNotSupported": ("S", "capability: tested with P18, no claim names it"),
    "complete_migration guard 4 NoFailoverToComplete": (
        "A",
        "lifecycle: P13's accepting half is explored, not claimed; no claim forbids the request in this state "
        "(noticed in the other flow that offers it)"),
    "contact change passive_cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "contact guard 0": (
        "ASV", "reachability: no claim says that contact or copying takes a connection or an old epoch (P5 is another level's)"),
    "contact guard 1": (
        "ASV", "reachability: no claim says that contact or copying takes a connection or an old epoch (P5 is another level's)"),
    "copy_base change doubt": (
        "ASV",
        "caution: with less doubt there are fewer calls, with more doubt more, and no claim says how many; P9 asks "
        "for a cause"),
    "copy_base change half": ("ASV", "progress only: the job stays where it is (P19, explored); a copy may be made twice"),
    "copy_base change spoiled": ("ASV", "progress only: a copy whose log stays spoiled is made again (P19, explored)"),
    "copy_base guard 1": ("ASV", "progress only: the job stays where it is (P19, explored); a copy may be made twice"),
    "copy_base guard 2": (
        "ASV", "reachability: no claim says that contact or copying takes a connection or an old epoch (P5 is another level's)"),
    "cut_app_point change app": ("ASV", "fewer app-consistent points: one need not be kept, no claim asks for one"),
    "cut_app_point change point": ("ASV", "bookkeeping: read only while a point is kept, so a stale value says nothing"),
    "cut_equal_point change point": ("ASV", "bookkeeping: read only while a point is kept, so a stale value says nothing"),
    "cut_equal_point guard 1": ("ASV", "fewer points: a point need not be kept, no claim asks for one"),
    "cut_point change point": ("ASV", "bookkeeping: read only while a point is kept, so a stale value says nothing"),
    "cut_point guard 1": ("ASV", "fewer points: a point need not be kept, no claim asks for one"),
    "damage_change_log change disturbed": (
        "SV", "disturbance: a planned failover fails less often, which breaks no claim (P19, explored)"),
    "damage_change_log change doubt": (
        "ASV",
        "caution: with less doubt there are fewer calls, with more doubt more, and no claim says how many; P9 asks "
        "for a cause"),
    "damage_change_log change x_gap": ("ASV", "marks: fewer writes are said to be in no log, and the claims speak of those only"),
    "damage_change_log guard 0": ("ASV", "environment: damage to a log that feeds nothing does nothing that a claim forbids"),
    "disable_protection guard 3 NotProtected": (
        "ASV",
        "lifecycle: P13's accepting half is explored, not claimed; no claim forbids the request in this state: ending "
        "what has not begun leaves the machine at primary as it was"),
    "enable_protection change protection": (
        "ASV", "lifecycle: finish_copy protects all the same, and nothing is read before (P13's accepting half is explored)"),
    "enable_protection guard 4 SourceNotRunning": (
        "ASV", "precheck: P13's accepting half is explored, not claimed; the job waits until it can go on"),
    "enable_protection guard 5 SitesNotConnected": (
        "ASV", "precheck: P13's accepting half is explored, not claimed; the job waits until it can go on"),
    "end_replication change changed": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "end_replication change chosen": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "end_replication change direction": (
        "ASV", "lifecycle: what an ended replication leaves (P12 speaks of a protected machine only)"),
    "end_replication change doubt": (
        "ASV",
        "bookkeeping: a log that feeds nothing is said to be in doubt or spoiled; the next copy or comparison clears "
        "it first"),
    "end_replication change half": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "end_replication change spoiled": (
        "ASV",
        "bookkeeping: a log that feeds nothing is said to be in doubt or spoiled; the next copy or comparison clears "
        "it first"),
    "fail_gateway change gateway_up": ("A", "environment: the mutant can do less, so every claim holds of it"),
    "fail_gateway guard 0": ("SV", "environment: one fault more; shipping stops, which no claim forbids"),
    "fail_gateway guard 1": ("A", "environment: without it the step repeats what is so already"),
    "fail_link change disturbed": ("SV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "fail_link change link_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "fail_link guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "fail_planned change disturbed": ("SV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "fail_planned change doubt": (
        "SV",
        "bookkeeping: a log that feeds nothing is said to be in doubt or spoiled; the next copy or comparison clears "
        "it first"),
    "fail_planned change job": ("SV", "the job goes on: a second end of the same job breaks no claim (P19, explored)"),
    "fail_planned change spoiled": (
        "SV",
        "bookkeeping: a log that feeds nothing is said to be in doubt or spoiled; the next copy or comparison clears "
        "it first"),
    "fail_planned change x_gap": (
        "S",
        "bookkeeping: a log that feeds nothing is said to be in doubt or spoiled; the next copy or comparison clears "
        "it first"),
    "fail_planned_restarting change disturbed": ("SV", "bookkeeping: the next planned failover sets it first"),
    "fail_planned_restarting change doubt": (
        "SV",
        "bookkeeping: a log that feeds nothing is said to be in doubt or spoiled; the next copy or comparison clears "
        "it first"),
    "fail_planned_restarting change job": ("SV", "progress only: the job stays where it is (P19, explored)"),
    "fail_planned_restarting change reboots": ("SV", "power: the source runs already"),
    "fail_planned_restarting change running": ("SV", "it is then the same as fail_planned"),
    "fail_planned_restarting change spoiled": (
        "SV",
        "bookkeeping: a log that feeds nothing is said to be in doubt or spoiled; the next copy or comparison clears "
        "it first"),
    "fail_planned_restarting change x_gap": (
        "S",
        "bookkeeping: a log that feeds nothing is said to be in doubt or spoiled; the next copy or comparison clears "
        "it first"),
    "fail_planned_restarting guard 2": ("SV", "power: a site without power is the protocol level's matter"),
    "fail_primary_site change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "fail_primary_site change disturbed": ("SV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "fail_primary_site change doubt": (
        "ASV",
        "caution: with less doubt there are fewer calls, with more doubt more, and no claim says how many; P9 asks "
        "for a cause"),
    "fail_primary_site change passive_cached": (
        "ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "fail_primary_site change passive_reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_primary_site change passive_running": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_primary_site change primary_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "fail_primary_site change reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_primary_site change running": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_primary_site guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "fail_recovery_site change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "fail_recovery_site change disturbed": ("SV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "fail_recovery_site change doubt": (
        "ASV",
        "caution: with less doubt there are fewer calls, with more doubt more, and no claim says how many; P9 asks "
        "for a cause"),
    "fail_recovery_site change passive_cached": (
        "ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "fail_recovery_site change passive_reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_recovery_site change passive_running": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_recovery_site change reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_recovery_site change recovery_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "fail_recovery_site change running": ("ASV", "power: no claim says yet which side runs, and when"),
    "fail_recovery_site guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "finish_copy change chosen": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "finish_copy change direction": (
        "V", "lifecycle: a copy that does not protect breaks no claim, it only offers less (P19, explored)"),
    "finish_copy change failover": (
        "V", "lifecycle: a copy that does not protect breaks no claim, it only offers less (P19, explored)"),
    "finish_copy change point": ("ASV", "bookkeeping: read only while a point is kept, so a stale value says nothing"),
    "finish_copy change protection": (
        "ASV", "lifecycle: a copy that does not protect breaks no claim, it only offers less (P19, explored)"),
    "finish_copy guard 1": ("V", "first copy: an empty replica is a prefix too; that a copy is complete is P23's"),
    "finish_copy guard 2": (
        "ASV", "reachability: no claim says that contact or copying takes a connection or an old epoch (P5 is another level's)"),
    "finish_resync change app": (
        "ASV", "noticed with an app-consistent point, deeper than this search: see test_mutations_of_the_model"),
    "finish_resync change job": ("ASV", "the job goes on: a second end of the same job breaks no claim (P19, explored)"),
    "finish_resync change x_app": ("ASV", "points that are gone: nothing reads what they held"),
    "finish_resync guard 2": ("ASV", "reachability: no claim says that copying, comparing or merging takes a connection"),
    "flush change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "flush change doubt": (
        "ASV",
        "caution: with less doubt there are fewer calls, with more doubt more, and no claim says how many; P9 asks "
        "for a cause"),
    "flush change x_gap": ("ASV", "marks: fewer writes are said to be in no log, and the claims speak of those only"),
    "flush guard 1": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "flush_before_stop change cached": ("SV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "flush_before_stop change x_fate": ("SV", "marks: the mutant marks or places fewer writes, which no claim forbids"),
    "flush_before_stop change x_gap": ("SV", "marks: fewer writes are said to be in no log, and the claims speak of those only"),
    "flush_before_stop guard 0": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "flush_before_stop guard 1": ("SV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "flush_before_stop guard 3": ("SV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "flush_before_stop guard 4": ("SV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "flush_former_source change passive_cached": (
        "ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "flush_former_source change x_fate": ("ASV", "marks: the mutant marks or places fewer writes, which no claim forbids"),
    "flush_former_source change x_passive": ("ASV", "marks: the mutant marks or places fewer writes, which no claim forbids"),
    "flush_former_source guard 0": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "flush_former_source guard 1": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "heal_gateway change gateway_up": ("A", "environment: the mutant can do less, so every claim holds of it"),
    "heal_gateway guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "heal_link change link_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "heal_link guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "heal_primary_site change primary_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "heal_primary_site guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "heal_recovery_site change recovery_up": ("ASV", "environment: the mutant can do less, so every claim holds of it"),
    "heal_recovery_site guard 0": ("ASV", "environment: without it the step repeats what is so already"),
    "make_test_copy change half": (
        "ASV", "progress only: the job's second half is reached later or again, and does the same (P19, explored)"),
    "make_test_copy change pinned": (
        "ASV", "fewer points are pinned: the claim speaks of those that are; the point under a copy is also in use by its job"),
    "make_test_copy guard 1": ("ASV", "making the copy once more, of the point as it is then"),
    "make_test_copy guard 2": (
        "ASV",
        "power: no claim says that the work of a job takes the power of its site; a site without it is the protocol "
        "level's matter"),
    "make_test_copy guard 3": ("ASV", "what “latest” means for a test copy: P2 says it of failovers only"),
    "merge change staged": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "merge change x_staged": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "merge guard 1": (
        "ASV",
        "a second merge sets the replica back to the empty prefix, from which it is replicated anew: waste, which no "
        "claim forbids"),
    "merge guard 3": ("ASV", "noticed after two damages, deeper than this search: see test_mutations_of_the_model"),
    "merge guard 4": ("ASV", "reachability: no claim says that copying, comparing or merging takes a connection"),
    "planned_failover change half": ("SV", "progress only: the job stays where it is (P19, explored)"),
    "planned_failover guard 1 OperationNotSupported": ("A", "capability: tested with P18, no claim names it"),
    "planned_failover guard 4 NotProtected": (
        "SV", "lifecycle: P13's accepting half is explored, not claimed; no claim forbids the request in this state"),
    "planned_failover guard 5 FailoverPending": (
        "SV", "lifecycle: P13's accepting half is explored, not claimed; no claim forbids the request in this state"),
    "planned_failover guard 7 SourceNotRunning": (
        "SV", "precheck: P13's accepting half is explored, not claimed; the job waits until it can go on"),
    "planned_failover guard 8 SitesNotConnected": (
        "S", "precheck: P13's accepting half is explored, not claimed; the job waits until it can go on"),
    "prune_app_point change app": ("ASV", "fewer app-consistent points: one need not be kept, no claim asks for one"),
    "prune_app_point change x_app": ("ASV", "points that are gone: nothing reads what they held"),
    "prune_app_point guard 0": ("ASV", "fewer app-consistent points: one need not be kept, no claim asks for one"),
    "prune_app_point guard 1": ("ASV", "fewer app-consistent points: one need not be kept, no claim asks for one"),
    "prune_app_point guard 2": (
        "ASV", "noticed with a failover after two points, deeper than this search: see test_mutations_of_the_model"),
    "prune_app_point guard 4": (
        "ASV",
        "fewer app-consistent points while the sides are to be compared: the claim speaks of the time of the "
        "comparison, which is deeper than this search"),
    "prune_point change point": ("ASV", "bookkeeping: read only while a point is kept, so a stale value says nothing"),
    "prune_point change x_point": ("ASV", "bookkeeping: read only while a point is kept, so a stale value says nothing"),
    "prune_point guard 1": ("ASV", "fewer points: a point need not be kept, no claim asks for one"),
    "prune_point guard 2": ("ASV", "fewer points: a point need not be kept, no claim asks for one"),
    "remove_points change half": (
        "ASV", "progress only: the job's second half is reached later or again, and does the same (P19, explored)"),
    "remove_points change x_app": ("ASV", "points that are gone: nothing reads what they held"),
    "remove_points change x_latest": ("ASV", "points that are gone: nothing reads what they held"),
    "remove_points change x_point": ("ASV", "points that are gone: nothing reads what they held"),
    "remove_points guard 1": ("ASV", "progress only: points that are gone are removed again"),
    "remove_test_copy change chosen": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "remove_test_copy change job": ("ASV", "the job goes on: a second end of the same job breaks no claim (P19, explored)"),
    "remove_test_copy change test_at": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "remove_test_copy guard 1": (
        "ASV",
        "power: no claim says that the work of a job takes the power of its site; a site without it is the protocol "
        "level's matter"),
    "repair_replication change doubt": (
        "ASV",
        "caution: with less doubt there are fewer calls, with more doubt more, and no claim says how many; P9 asks "
        "for a cause"),
    "repair_replication change resync": (
        "ASV", "progress only: without comparing there is no merge, and the job ends only if it is pre-empted (P19, explored)"),
    "repair_replication guard 4 SitesNotConnected": (
        "ASV", "precheck: P13's accepting half is explored, not claimed; the job waits until it can go on"),
    "replicate guard 2": ("ASV", "reachability: no claim says that copying, comparing or merging takes a connection"),
    "reverse_replicate change job": ("V", "progress only: the job stays where it is (P19, explored)"),
    "reverse_replicate guard 1 OperationNotSupported": ("V", "capability: tested with P18, no claim names it"),
    "reverse_replicate guard 2 JobInProgress": (
        "V", "the failover's own jobs are met later in this flow, deeper than this search; noticed in the other flows"),
    "reverse_replicate guard 5 SitesNotConnected": (
        "V", "precheck: P13's accepting half is explored, not claimed; the job waits until it can go on"),
    "set_to_point change changed": (
        "A",
        "the flag only tells a pending planned failover that has been set back from one that has not; this flow has "
        "no planned one"),
    "set_to_point change job": ("ASV", "the job goes on: a second end of the same job breaks no claim (P19, explored)"),
    "set_to_point guard 1": (
        "ASV",
        "power: no claim says that the work of a job takes the power of its site; a site without it is the protocol "
        "level's matter"),
    "set_to_point guard 2": (
        "ASV", "power: the guest that was running is set back as it runs; no claim says that it was stopped first"),
    "start_former_source change passive_reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_former_source change passive_running": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_former_source guard 0": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_former_source guard 1": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_machine change disturbed": ("SV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "start_machine change reboots": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_machine change running": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_machine guard 0": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_machine guard 1": ("ASV", "power: no claim says yet which side runs, and when"),
    "start_test_copy change job": ("ASV", "the job goes on: a second end of the same job breaks no claim (P19, explored)"),
    "start_test_copy change test_running": ("ASV", "power: no claim says when a test copy that may run does run"),
    "start_test_copy guard 1": ("ASV", "a copy that was not made yet is empty, which is what its position and content say"),
    "stop_comparing change doubt": (
        "ASV",
        "caution: with less doubt there are fewer calls, with more doubt more, and no claim says how many; P9 asks "
        "for a cause"),
    "stop_comparing change half": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "stop_comparing change job": (
        "ASV", "lifecycle: a comparison that is called for and runs can be begun again (P13's accepting half is explored)"),
    "stop_comparing change spoiled": (
        "ASV", "the log goes on where the comparison began it; what the replica lacked is still called for"),
    "stop_comparing change staged": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "stop_comparing change x_gap": ("ASV", "marks: fewer writes are said to be in no log, and the claims speak of those only"),
    "stop_comparing change x_staged": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "stop_comparing guard 1": ("ASV", "caution: a merge that is given up leaves the call and a prefix (P19, explored)"),
    "stop_comparing guard 2": ("ASV", "caution: a comparison may be given up at any time, the call stays"),
    "stop_for_change change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "stop_for_change change reboots": ("ASV", "power: no claim says that the guest was stopped before it is set back"),
    "stop_for_change change running": ("ASV", "power: no claim says that the guest was stopped before it is set back"),
    "stop_for_change guard 0": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_for_change guard 1": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_for_change guard 2": ("ASV", "environment: without it the step repeats what is so already"),
    "stop_if_reachable change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "stop_if_reachable change running": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_if_reachable guard 0": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_if_reachable guard 1": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_if_reachable guard 2": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_source change reboots": (
        "SV", "progress only: the job stays where it is (P19, explored); the switch waits for a stopped source"),
    "stop_source change running": (
        "SV", "progress only: the job stays where it is (P19, explored); the switch waits for a stopped source"),
    "stop_source guard 1": ("ASV", "power: no claim says yet which side runs, and when"),
    "stop_source guard 2": ("SV", "power: no claim says yet which side runs, and when"),
    "stop_source guard 3": ("SV", "power: no claim says yet which side runs, and when"),
    "stop_source guard 4": ("SV", "power: no claim says yet which side runs, and when"),
    "stop_test_copy change test_running": ("ASV", "power: no claim says when a test copy that may run does run"),
    "stop_test_copy guard 0": ("ASV", "power: no claim says when a test copy that may run does run"),
    "stop_test_copy guard 1": ("ASV", "environment: without it the step repeats what is so already"),
    "switch_planned change disturbed": ("SV", "disturbance: no claim says yet that only a disturbed planned failover fails"),
    "switch_planned change doubt": (
        "SV",
        "bookkeeping: a log that feeds nothing is said to be in doubt or spoiled; the next copy or comparison clears "
        "it first"),
    "switch_planned change job": ("SV", "the job goes on: a second end of the same job breaks no claim (P19, explored)"),
    "switch_planned change protection": ("SV", "capability: what a failover leaves protected (P18, tested)"),
    "switch_planned change spoiled": (
        "SV",
        "bookkeeping: a log that feeds nothing is said to be in doubt or spoiled; the next copy or comparison clears "
        "it first"),
    "switch_planned guard 0": ("A", "one job a machine: P16 speaks of jobs that start and end, not of the step of one"),
    "switch_planned guard 1": (
        "SV", "reachability: no claim says that a planned switch takes a connection; drain and stop are claimed"),
    "switch_planned guard 5": ("SV", "bookkeeping: only stop_source stops the source for good, and it asks for the half already"),
    "switch_unplanned change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "switch_unplanned change doubt": (
        "ASV",
        "bookkeeping: a log that feeds nothing is said to be in doubt or spoiled; the next copy or comparison clears "
        "it first"),
    "switch_unplanned change loss": ("ASV", "bookkeeping: read only once the loss is known, and then it is set"),
    "switch_unplanned change loss_known": (
        "ASV", "noticed after two failovers, deeper than this search: see test_mutations_of_the_model"),
    "switch_unplanned change passive_cached": (
        "ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "switch_unplanned change passive_reboots": (
        "ASV", "power: no claim says yet which side runs, and when; a switch that does not change the side is no switch"),
    "switch_unplanned change passive_running": (
        "ASV", "power: no claim says yet which side runs, and when; a switch that does not change the side is no switch"),
    "switch_unplanned change protection": ("ASV", "capability: what a failover leaves protected (P18, tested)"),
    "switch_unplanned change reboots": (
        "ASV", "power: no claim says yet which side runs, and when; a switch that does not change the side is no switch"),
    "switch_unplanned change spoiled": (
        "ASV",
        "bookkeeping: a log that feeds nothing is said to be in doubt or spoiled; the next copy or comparison clears "
        "it first"),
    "switch_unplanned guard 1": (
        "ASV", "precheck: P13's accepting half is explored, not claimed; the job waits until it can go on"),
    "test_failover change chosen": (
        "ASV",
        "the switch is exact for the point it uses; that it is the requested one is P13's accepting half, explored "
        "and not claimed"),
    "test_failover guard 1 OperationNotSupported": ("A", "capability: tested with P18, no claim names it"),
    "test_failover guard 3 TestFailoverPending": (
        "ASV",
        "lifecycle: P13's accepting half is explored, not claimed; no claim forbids the request in this state: a "
        "second test takes the place of the first"),
    "test_failover guard 5 FailoverPending": (
        "AV", "lifecycle: P13's accepting half is explored, not claimed; no claim forbids the request in this state"),
    "test_failover guard 7 TargetSiteDown": (
        "ASV", "precheck: P13's accepting half is explored, not claimed; the job waits until it can go on"),
    "test_failover_cleanup guard 3 NoTestFailover": (
        "ASV",
        "lifecycle: P13's accepting half is explored, not claimed; no claim forbids the request in this state: "
        "clearing away nothing changes nothing"),
    "test_failover_cleanup guard 4 TargetSiteDown": (
        "ASV", "precheck: P13's accepting half is explored, not claimed; the job waits until it can go on"),
    "unplanned_failover change chosen": (
        "ASV",
        "the switch is exact for the point it uses; that it is the requested one is P13's accepting half, explored "
        "and not claimed"),
    "unplanned_failover change disturbed": ("SV", "bookkeeping: set anew, or read no more, before it says anything"),
    "unplanned_failover change half": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "unplanned_failover change staged": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "unplanned_failover change x_staged": ("ASV", "bookkeeping: set anew, or read no more, before it says anything"),
    "unplanned_failover guard 5 FailoverPending": (
        "ASV", "lifecycle: P13's accepting half is explored, not claimed; no claim forbids the request in this state"),
    "unplanned_failover guard 6 TargetSiteDown": (
        "ASV", "precheck: P13's accepting half is explored, not claimed; the job waits until it can go on"),
    "write change doubt": (
        "ASV",
        "caution: with less doubt there are fewer calls, with more doubt more, and no claim says how many; P9 asks "
        "for a cause"),
    "write change x_gap": ("ASV", "marks: fewer writes are said to be in no log, and the claims speak of those only"),
    "write guard 1": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "write_cached change cached": ("ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "write_cached guard 0": ("A", "writes: no claim says yet that only a running guest writes, oldest first"),
    "write_cached_former_source change passive_cached": (
        "ASV", "cache: no claim says yet when a write may be issued, or lost unacknowledged"),
    "write_cached_former_source guard 0": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "write_former_source change x_fate": ("ASV", "marks: the mutant marks or places fewer writes, which no claim forbids"),
    "write_former_source change x_passive": ("ASV", "marks: the mutant marks or places fewer writes, which no claim forbids"),
    "write_former_source guard 1": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
    "write_test_copy guard 0": ("ASV", "writes: no claim says yet that only a running guest writes, oldest first"),
}
