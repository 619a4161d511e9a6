"""What runs: a site-recovery replication implementation on real disk images. It knows no model.

Written from the documents alone. Every component is a state machine that takes messages and virtual time and returns
messages; components never open sockets, files or clocks (bytes are reached through the stores they are given). All six
flows of the document run: ``vmware-to-azure``, ``physical-to-azure``, ``hyper-v-vmm-to-azure``,
``hyper-v-site-to-azure``, ``scout-to-secondary-site`` and ``hyper-v-to-secondary-site``.

=====================  ================================================================================================
module                 one idea
=====================  ================================================================================================
``lab``                the public surface: machines on real images in the deterministic simulation
``assembly``           the components of a laboratory, put together
``simulation``         virtual time, faults, delivery of messages (``network``: late copies, losses, damage)
``loader``, ``flows``  a topology file (``inheritance``: one that extends another); what a flow can do
``vault``              the record of a machine, and whether a request is accepted
``coordinator``        jobs and the order of their steps (``control``: what jobs are made of)
``copying``            steps that make the other side a replica
``failover``           steps that move the authority, and that make it final
``testfailover``       a copy that runs by itself, and its cleanup
``resync``             comparing to a staging area, merging, one fresh point
``ending``             disabling, complete migration, cleaning up on contact
``freezing``           app-consistent points: frozen applications, and the mark behind their last write
``replication``        sessions, points, doubt about tracking, contact and fencing
``agent``              tracking and sending at the source
``process_server``     the gateway: cache, compress, encrypt, send
``target``             applying at the other side, recovery points, pruning
``vm_host``            power, guest, cached writes, epoch and authority of a side
``diskset``            disks with versions, over a ``base_image``; ``slots``: their file; ``extents``: bytes by reference
``disk``, ``store``    the seams through which everything durable goes: files, and control state in SQLite
``simulated_disk``     both in memory, to be copied as a crash would leave them
``keeping``            what each place keeps, how an event becomes durable at several places, and the restart
``retention``          which recovery points are kept
``group``, ``plan``    several machines: points in common by a barrier; recovery plans (``planrun``: a run of one, ``fleet``:
                       how both move on)
``scenario``           a scenario file (``reading``: strict tables; ``imaging``: its disks)
``playing``            plays a scenario; ``judging`` gives a verdict of its own (``ledger``: what must be there)
``codec``              compression and encryption on the way, encryption at rest
``wire``               messages as bytes: versioned, checksummed
``hrl``, ``logfile``   the ``.hrl`` format; one file of it, with its journal (``inspection``: a look into one)
``changelog``          the chain of logs of a disk
=====================  ================================================================================================

Any component can be replaced by its role (``Lab(components={"process-server": Mine})``); subclasses usually override one
of these:

=========================================  ============================================================================
role                                       decisions that stand alone
=========================================  ============================================================================
``vault``                                  ``lifecycle_code``, ``precheck_code``, ``allowed``, ``answer_given``
``configuration-server``, ``provider``     ``steps``, ``step_*`` (one a job step), ``contact``, ``count_loss``,
                                           ``is_drained``, ``source_is_off``, ``choose_point``, ``should_cut``, ``cut``,
                                           ``next_epoch``, ``resync_compares``, ``needs_new_machine``,
                                           ``hand_over``, ``check_tracking``, ``halt_replication``, ``fail_job``,
                                           ``make_copy``, ``cancel_resync``, ``clean_side``, ``should_freeze``,
                                           ``freeze_applications``, ``take_app_mark``
``mobility-service``, ``hyper-v-agent``,   ``track``, ``take_batch``, ``which_log_to_clear``, ``drained``, ``recover``,
``unified-agent``                          ``copy_blocks``, ``seal``, ``resend``, ``start_tracking``, ``doubt``
``process-server``,                        ``optimise``, ``forward``, ``crash``
``temporary-process-server``
``storage-account``, ``master-target``,    ``accepts_epoch``, ``in_order``, ``apply``, ``store_base``, ``differing``,
``replica-host``                           ``cut_point``, ``points_to_prune``, ``branch_at``, ``delete_points``
``vm-host``                                ``acknowledge``, ``flush``, ``flush_on_stop``, ``fence``, ``take_over``,
                                           ``starts_on_power_up``, ``start``, ``quiesce``
``change-log``                             ``append``, ``swap``, ``clear``, ``recover``
``replication-group``, ``plan-run``        ``freeze``, ``cut``, ``release``, ``may_begin``; ``run_script``, ``stops``
``disk-set``                               ``write``, ``cut``, ``branch``, ``flatten``, ``release``, ``clear``
=========================================  ============================================================================
"""
