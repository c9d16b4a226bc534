"""The subcommands of ``gso``, one file each."""
