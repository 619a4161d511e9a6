"""The promise level: what a replication product promises to a customer, and nothing about how."""
