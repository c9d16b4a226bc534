"""The subcommands of ``gso-kernel``, one file each."""
