"""The programs inside the VM: standard library only, started by the host from a shared folder.

The host copies this folder next to ``plan.json`` and boots the kernel under test; ``main`` builds
the topology, sends the traffic, tells what came of it, and leaves captures and traces.
"""
