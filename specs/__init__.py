"""What is claimed, as data: topologies and requirements. No code lives here."""
