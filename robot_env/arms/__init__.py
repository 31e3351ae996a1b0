"""Arms: one protocol, one file per driver."""
