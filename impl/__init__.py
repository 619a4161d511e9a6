"""What runs: a site-recovery replication implementation on real disk images. It knows no model."""
