#!/usr/bin/env perl
# A driver over standard input and output, and a toy that it drives: a little replicator with two sites, on disks in memory.
#
# It conforms to the flow scout-to-secondary-site. Put your own system in its place: keep the loop and the calls, and let them talk
# to your system. Nothing is needed but Perl. Then
#
#     siteproof driver check 'stdio:perl toy.pl'
#     siteproof run --driver 'stdio:perl toy.pl' --topology scout-to-secondary-site --max-time 1m --out found
#
# Rules of the wire: one JSON message a line, one answer a line with the same id, and nothing else on standard output; messages for
# people go to standard error. When standard input is closed, end.
#
# Rules of the toy
# 1. A machine has a disk at each side. Writes of the active side go to its disk and into the change log; a step ships the oldest
#    one to the other side, or does the next thing that is due. Nothing happens but in a step.
# 2. What was received becomes a recovery point as soon as there is nothing else to do.
# 3. The side that was failed over from is fenced when it is reached again, before anything else; only then is the loss known.

use strict;
use warnings;
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);

use constant BLOCK => 4096;
my $json = JSON::PP->new->utf8->canonical;
my ($TRUE, $FALSE) = (JSON::PP::true(), JSON::PP::false());

my @OPERATIONS = qw(Commit DisableProtection EnableProtection RepairReplication ReverseReplicate UnplannedFailover);
my @NOT_IN_THIS_FLOW = qw(PlannedFailover TestFailover ChangePit CompleteMigration);

my %faults;      # what is broken now
my %machines;    # by name

# ------------------------------------------------------------------------------------------------------------------- calls

my %calls = (
    handshake => sub {
        return {
            name       => 'toy',
            version    => 1,
            flows      => ['scout-to-secondary-site'],
            operations => [ @OPERATIONS, @NOT_IN_THIS_FLOW, 'TestFailoverCleanup' ],
            faults     => [qw(primary-site recovery-site link gateway change-log)],
            stepping   => $TRUE,
            content    => [qw(base64 file)],
        };
    },
    start => sub {
        my ($ask) = @_;
        %faults = ();
        my $content = content_of($ask->{base}{content});
        %machines = map { $_ => new_machine($content, $ask->{disks}) } @{ $ask->{machines} };
        return undef;
    },
    execute => sub {
        my ($ask) = @_;
        my $code = request(machine($ask), $ask->{operation}, $ask->{point} // '');
        return $code ? { answer => 'rejected', code => $code } : { answer => 'accepted' };
    },
    write => sub {
        my ($ask) = @_;
        my $data = content_of($ask->{content});
        my $done = guest_writes(machine($ask), $ask->{side}, [ $ask->{disk}, $ask->{block}, $data ], $ask->{cached});
        return { answer => $done ? 'acknowledged' : 'refused' };
    },
    fault => sub {
        my ($ask) = @_;
        if ($ask->{kind} eq 'change-log') {    # struck once: there is nothing to heal
            damage_log($_) for values %machines;
            return undef;
        }
        $faults{ $ask->{kind} } = 1;
        power_lost($_) for values %machines;
        return undef;
    },
    heal          => sub { delete $faults{ $_[0]{kind} }; return undef },
    start_machine => sub {
        my ($ask) = @_;
        return { answer => power_on(machine($ask), $ask->{side}) ? 'acknowledged' : 'refused' };
    },
    advance => sub {
        my ($ask) = @_;
        step_all() for 0 .. int($ask->{seconds} / 30);
        return undef;
    },
    step    => sub { return step_all() ? $TRUE : $FALSE },
    settle  => sub { 1 while step_all(); return $TRUE },
    observe => sub { return observe(machine($_[0])) },
    read    => sub {
        my ($ask) = @_;
        my $disks = disks_of(machine($ask), $ask->{where});
        return { base64 => encode_base64(substr($disks->[ $ask->{disk} ], $ask->{offset}, $ask->{length}), '') };
    },
    stop => sub { %machines = (); return undef },
);

$| = 1;
while (defined(my $line = <STDIN>)) {
    my $ask  = $json->decode($line);
    my $call = $calls{ $ask->{call} };
    my $result = $call ? eval { $call->($ask) } : undef;
    my $error = $call ? $@ : "no such call: $ask->{call}";
    print $json->encode($error ? { id => $ask->{id}, error => "$error" } : { id => $ask->{id}, result => $result }), "\n";
}

sub machine { return $machines{ $_[0]{machine} } // die "no machine $_[0]{machine}\n" }

sub content_of {
    my ($content) = @_;
    return decode_base64($content->{base64}) if exists $content->{base64};
    open(my $file, '<:raw', $content->{file}) or die "cannot read $content->{file}: $!\n";
    seek($file, $content->{offset} // 0, 0);
    local $/ = undef;
    return scalar <$file>;
}

# ------------------------------------------------------------------------------------------- the toy: one machine and its state

sub new_machine {
    my ($content, $disks) = @_;
    my %side = map {
        $_ => { disks => [ ($content) x $disks ], position => 0, running => $_ eq 'primary', boots => 0, cache => [] }
    } qw(primary recovery);
    return {
        side => \%side, active => 'primary', direction => 'forward', protection => 'none', failover => 'none',
        job => undef, chosen => undef, resync => 'none', log => [], log_damaged => 0, points => [], cut => 0,
        used => undef, fork => 0, contacted => 1, alerted => 0, received => undef, loss => undef,
    };
}

sub passive { return $_[0]{active} eq 'primary' ? 'recovery' : 'primary' }
sub source  { return $_[0]{side}{ $_[0]{active} } }
sub target  { return $_[0]{side}{ passive($_[0]) } }
sub up      { return !$faults{"$_[0]-site"} }
sub connected { return up('primary') && up('recovery') && !$faults{link} }
sub can_ship  { return connected() && !$faults{gateway} && $_[0]{contacted} }
sub follows   { return $_[0]{protection} eq 'protected' && $_[0]{failover} eq 'none' }

# ---------------------------------------------------------------------------------------------------------------- requests

# Why the machine's state does not allow an operation; empty when it does.
sub refusal {
    my ($m, $operation) = @_;
    return 'ReplicationEnded' if $m->{failover} eq 'completed';
    return 'OperationNotSupported' if grep { $_ eq $operation } @NOT_IN_THIS_FLOW;
    my $comparing = ($m->{job} // '') eq 'RepairReplication' && $operation eq 'UnplannedFailover';
    return 'JobInProgress' if defined $m->{job} && !$comparing;
    my $protected = $m->{protection} ne 'none';
    my %refusals = (
        EnableProtection    => [ $protected || $m->{failover} ne 'none', 'AlreadyProtected' ],
        UnplannedFailover   => [ $m->{protection} ne 'protected', 'NotProtected' ],
        Commit              => [ $m->{failover} ne 'unplanned', 'NoFailoverToCommit' ],
        ReverseReplicate    => [ $m->{failover} ne 'committed', 'FailoverNotCommitted' ],
        TestFailoverCleanup => [ 1, 'NoTestFailover' ],
        DisableProtection   => [ !$protected && $m->{failover} eq 'none', 'NotProtected' ],
        RepairReplication   => [ $m->{resync} eq 'none', 'NoResynchronisationRequired' ],
    );
    my ($refused, $code) = @{ $refusals{$operation} };
    return $refused ? $code : '';
}

# Take a request: empty when it is accepted and its job runs, else the code.
sub request {
    my ($m, $operation, $point) = @_;
    my $code = refusal($m, $operation);
    return $code if $code;
    return 'SourceNotRunning' if $operation eq 'EnableProtection' && !source($m)->{running};
    return 'SitesNotConnected' if $operation =~ /^(EnableProtection|ReverseReplicate|RepairReplication)$/ && !can_ship($m);
    if ($operation eq 'UnplannedFailover') {
        return 'TargetSiteDown' unless up(passive($m));
        my $known = $point =~ /^latest(-processed)?$/ || grep { $_->{id} eq $point } @{ $m->{points} };
        return 'RecoveryPointNotFound' unless $known;
        $m->{resync} = 'required' if $m->{resync} eq 'comparing';
    }
    $m->{protection} = 'initial'   if $operation eq 'EnableProtection';
    $m->{resync}     = 'comparing' if $operation eq 'RepairReplication';
    @$m{qw(job chosen)} = ($operation, $point);
    return '';
}

# -------------------------------------------------------------------------------------------------------------------- jobs

sub step_all { return scalar grep { step($_) } values %machines }

# Do the next thing that is due; false when there is none.
sub step {
    my ($m) = @_;
    return contact($m) || boot($m) || call_for_resync($m) || do_job($m) || ship($m) || cut_if_new($m);
}

# The former source is reached: it is fenced, and the loss is counted.
sub contact {
    my ($m) = @_;
    return 0 if $m->{contacted} || !connected();
    my $former = target($m);
    $m->{alerted} ||= $former->{running};
    @$former{qw(running boots cache)} = (0, 0, []);
    @$m{qw(contacted loss)} = (1, $former->{position} - $m->{fork});
    return 1;
}

sub boot {
    my ($m) = @_;
    for my $name (qw(primary recovery)) {
        my $side = $m->{side}{$name};
        next unless $side->{boots} && up($name);
        @$side{qw(running boots)} = (1, 0);
        return 1;
    }
    return 0;
}

sub idle { return follows($_[0]) && !defined $_[0]{job} && $_[0]{resync} eq 'none' }

sub call_for_resync {
    my ($m) = @_;
    return 0 unless $m->{log_damaged} && idle($m) && up($m->{active});
    $m->{resync} = 'required';
    return 1;
}

# The job that runs is done as a whole, as soon as it can be.
sub do_job {
    my ($m) = @_;
    my $job = $m->{job} // return 0;
    if ($job =~ /^(EnableProtection|ReverseReplicate|RepairReplication)$/) { return 0 unless can_ship($m); copy($m) }
    elsif ($job eq 'UnplannedFailover') { return 0 unless up(passive($m));   fail_over($m) }
    elsif ($job eq 'Commit')            { return 0 unless up($m->{active}); commit($m) }
    else                                { end_replication($m) }
    @$m{qw(job chosen)} = (undef, undef);
    return 1;
}

# The passive side gets all that the active one has; one fresh point takes the place of all others.
sub copy {
    my ($m) = @_;
    my ($source, $target) = (source($m), target($m));
    @$target{qw(disks position)} = ([ @{ $source->{disks} } ], $source->{position});
    @$m{qw(log log_damaged resync points)} = ([], 0, 'none', []);
    if ($m->{job} ne 'RepairReplication') {
        @$m{qw(protection failover)} = ('protected', 'none');
        $m->{direction} = $m->{active} eq 'primary' ? 'forward' : 'reverse';
    }
    cut_point($m);
}

# The oldest write of the change log reaches the passive side.
sub ship {
    my ($m) = @_;
    return 0 unless idle($m) && !$m->{log_damaged} && @{ $m->{log} } && can_ship($m);
    put(target($m), shift @{ $m->{log} });
    return 1;
}

sub cut_if_new {
    my ($m) = @_;
    return 0 if !idle($m) || !up(passive($m)) || $m->{points}[-1]{position} == target($m)->{position};
    cut_point($m);
    return 1;
}

sub cut_point {
    my ($m) = @_;
    my $replica = target($m);
    my $id = 'rp-' . ++$m->{cut};
    push @{ $m->{points} }, { id => $id, position => $replica->{position}, disks => [ @{ $replica->{disks} } ] };
}

# The other side becomes the machine, with the content of the chosen point.
sub fail_over {
    my ($m) = @_;
    my $target = target($m);
    cut_point($m) if $m->{chosen} eq 'latest' && $m->{points}[-1]{position} != $target->{position};
    my ($point) = grep { $_->{id} eq $m->{chosen} } @{ $m->{points} };
    $point //= $m->{points}[-1];
    $m->{received} = $target->{position};
    @$m{qw(used fork loss)} = ($point->{id}, $point->{position}, undef);
    @$target{qw(disks position running)} = ([ @{ $point->{disks} } ], $point->{position}, 1);
    $m->{active} = passive($m);
    @$m{qw(protection failover contacted)} = ('none', 'unplanned', 0);
    @$m{qw(log log_damaged resync)} = ([], 0, 'none');
}

sub commit {
    my ($m) = @_;
    my $back = $m->{active} eq 'primary';
    $m->{points}    = [];
    $m->{failover}  = $back ? 'none' : 'committed';
    $m->{direction} = 'forward' if $back;
}

sub end_replication {
    my ($m) = @_;
    my $away = $m->{active} eq 'recovery';
    @$m{qw(points log log_damaged resync protection)} = ([], [], 0, 'none', 'none');
    $m->{failover}  = $away ? 'completed' : 'none';
    $m->{direction} = 'forward' unless $away;
}

# --------------------------------------------------------------------------------------------------------------- the world

sub guest_writes {
    my ($m, $name, $write, $cached) = @_;
    my $side = $m->{side}{$name};    # there are no test failovers in this flow, so no copy to write to
    return 0 unless $side && $side->{running};
    push @{ $side->{cache} }, $write;
    return 1 if $cached;
    for my $one (@{ $side->{cache} }) {    # a plain write takes with it what is in the cache, first in, first out
        put($side, $one);
        push @{ $m->{log} }, $one if $name eq $m->{active} && follows($m);
    }
    $side->{cache} = [];
    return 1;
}

sub put {
    my ($side, $write) = @_;
    my ($disk, $block, $data) = @$write;
    substr($side->{disks}[$disk], $block * BLOCK, BLOCK) = $data;
    $side->{position}++;
}

sub power_lost {
    my ($m) = @_;
    for my $name (grep { !up($_) } qw(primary recovery)) {
        my $side = $m->{side}{$name};
        @$side{qw(boots running cache)} = ($side->{boots} || $side->{running}, 0, []);
    }
}

sub power_on {
    my ($m, $name) = @_;
    return 0 if !up($name) || ($name ne $m->{active} && $m->{contacted});
    @{ $m->{side}{$name} }{qw(running boots)} = (1, 0);
    return 1;
}

sub damage_log {
    my ($m) = @_;
    @$m{qw(log log_damaged)} = ([], 1) if follows($m);
}

# ----------------------------------------------------------------------------------------------------------------- looking

sub disks_of {
    my ($m, $where) = @_;
    return $m->{side}{$where}{disks} if $m->{side}{$where};
    my ($point) = grep { $_->{id} eq $where } @{ $m->{points} };
    return $point ? $point->{disks} : die "no point $where\n";
}

sub flag { return $_[0] ? $TRUE : $FALSE }

sub observe {
    my ($m) = @_;
    return {
        ( map { $_ => $m->{$_} } qw(protection active direction failover job resync received loss) ),
        test               => 'none',
        allowed_operations => [ grep { !refusal($m, $_) } @OPERATIONS ],
        points             => [ map { { id => $_->{id}, kind => 'crash-consistent' } } @{ $m->{points} } ],
        failover_point     => $m->{failover} eq 'unplanned' ? $m->{used} : undef,
        alerts             => $m->{alerted} ? ['StaleSideFenced'] : [],
        running            => { map { $_ => flag($m->{side}{$_}{running}) } qw(primary recovery) },
    };
}
