"""Subcommands of `fradect` that run batch work, a file each, so that each loads only what it needs."""
