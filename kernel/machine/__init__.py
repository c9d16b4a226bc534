"""One virtual machine: whether it can run, its command line, its life."""
