"""Subcommands of `fradect` that run or ask the scoring service, a file each."""
