"""The `dispytw` command: one module for each of its subcommands, and `main`, which chooses."""
