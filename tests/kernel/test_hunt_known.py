"""The names of findings: those of known faults by their marks, and those that are files."""

from __future__ import annotations

import fnmatch
import re

import pytest
from gso.kernel.guest.stacks import (
    Layer,
    Stack,
    as_data,
)
from gso.kernel.hunting.findings import name
from gso.kernel.hunting.known import read, recognised

from hunts import (
    LAYERS,
    MANY,
    SMALLEST,
)


def test_names_of_findings_are_names_of_files():
    def named(stack: Stack) -> str:
        return name({"stack": as_data(stack), "complaints": ["lost"]})

    assert named(SMALLEST) == "ipvs-gue4"
    assert all(re.fullmatch(r"[\w-]+", named(stack)) for stack in MANY)


SEG6 = Layer("seg6", 6, 6)


@pytest.mark.parametrize(
    ("stack", "complaint", "known"),
    [
        (Stack((), (SEG6, Layer("vxlan", 6, 4)), 4), "tx_dropped", "seg6-encap-over-tunnel"),
        (Stack((), (SEG6, Layer("vxlan", 6, 4)), 4), "rx_errors", None),
        (Stack((), (SEG6,), 6), "tx_dropped", None),
        (Stack((), (Layer("seg6-l2encap", 6, 4),), 4), "tx_dropped", "seg6-l2encap"),
        (Stack((), (Layer("seg6local-b6-encaps", 6, 6),), 6), "tx_dropped", "seg6-b6-encaps"),
        (Stack((), (Layer("seg6local-end", 6, 6),), 6), "tx_dropped", None),
        (
            Stack((), (Layer("ipvs-gue", 6, 6),), 6, traffic="udp", arrival="gro list"),
            "machine lost",
            "fraglist-in-tunnel",
        ),
        (Stack((), (Layer("gue", 6, 6),), 6, traffic="udp"), "machine lost", None),
        (Stack((), (Layer("bpf-ipip", 4, 4),), 4), "lost", "bpf-push-ipip"),
        (Stack((), (Layer("bpf-ipip", 4, 4),), 4, traffic="udp"), "lost", "bpf-push-datagrams"),
        (Stack((), (Layer("bpf-gre", 4, 4),), 4), "lost", None),
        (
            Stack((), (Layer("bpf-ipip", 6, 6), Layer("ipvs-gre", 6, 6)), 6),
            "drops in validate_xmit_skb, NOT_SPECIFIED",
            "bpf-push-over-tunnel",
        ),
        (
            Stack(
                *((), (Layer("gre-external", 4, 6), Layer("ipvs-masq", 6, 6)), 6),
                traffic="udp",
                arrival="gro list",
            ),
            "lost",
            "fraglist-in-tunnel",
        ),
        (Stack((), (Layer("gre", 4, 6),), 6, traffic="udp"), "lost", None),
        (
            Stack((), (Layer("xfrm", 4, 4),), 4, arrival="gro list"),
            "Tcp.InCsumErrors",
            "fraglist-checksums",
        ),
        (
            Stack((), (Layer("seg6local-dt4", 6, 4), Layer("esp-udp", 4, 4)), 4),
            "machine lost",
            "seg6-vrf-mac-header",
        ),
        (
            Stack((), (Layer("seg6local-dt46", 6, 4), Layer("xfrm", 4, 4)), 4),
            "machine lost",
            "seg6-vrf-mac-header",
        ),
        (
            Stack((), (Layer("seg6local-dx", 6, 4), Layer("esp-udp", 4, 4)), 4),
            "machine lost",
            None,
        ),
        (
            Stack((), (Layer("tc-mpls", 4, 4),), 4, "tx off", "udp", local=True),
            "tx_dropped",
            "udp-segment-moved-head",
        ),
        (
            Stack((), (Layer("tc-nat", 4, 4),), 4, "tx off", "udp", local=True),
            "Udp.InCsumErrors",
            "udp-segment-not-partial",
        ),
        (
            Stack((), (Layer("ila", 6, 6, ("adjust",)),), 6, "tx off", "udp", local=True),
            "Udp6InCsumErrors",
            "udp-segment-not-partial",
        ),
        (
            Stack((), (Layer("tc-nat", 4, 4),), 4, "tso off", "tcp"),
            "Tcp.InCsumErrors",
            None,
        ),
        (
            Stack((Layer("tap", 4, 4),), (), 4, "tx off", arrival="gro list"),
            "Tcp.InCsumErrors",
            "fraglist-checksums",
        ),
        (
            Stack((), (Layer("tc-bpf-nat46", 4, 4), Layer("geneve", 4, 4)), 4),
            "drops in validate_xmit_skb, NOT_SPECIFIED",
            "bpf-change-proto-on-tunnel",
        ),
        (
            Stack((), (Layer("tc-bpf-nat46", 4, 4),), 4),
            "drops in validate_xmit_skb, NOT_SPECIFIED",
            None,
        ),
        (
            Stack((), (Layer("macsec", 6, 6),), 6, traffic="udp", arrival="gro list"),
            "lost",
            "fraglist-checksums",
        ),
        (Stack((SEG6,), (), 6, traffic="sctp"), "machine lost", "sctp-over-seg6"),
        (Stack((), (SEG6,), 6, traffic="sctp"), "machine lost", None),
        (Stack((), (Layer("bpf-gre", 4, 4),), 4, traffic="sctp"), "lost", "bpf-push-datagrams"),
        (Stack((), (Layer("tc-bpf-gre", 6, 6),), 6, traffic="udp"), "lost", "bpf-room-datagrams"),
        (Stack((), (Layer("tc-bpf-gre", 6, 6),), 6), "lost", None),
        (
            Stack((), (Layer("tc-vlan", 6, 6), Layer("gue", 6, 6)), 6, offload="txvlan off"),
            "tx_dropped",
            "vlan-in-band-fou",
        ),
        (
            Stack((Layer("gretap", 4, 6),), (Layer("tc-mpls", 6, 6),), 6),
            "lost",
            "stale-inner-protocol",
        ),
        (
            Stack((), (Layer("srh-inline", 6, 6),), 6, "tx off", "udp", local=True),
            "lost",
            "udp-segment-moved-head",
        ),
        (
            Stack((), (Layer("srh-inline", 6, 6),), 6, local=True),
            "retransmits",
            "srh-inline-transport-header",
        ),
        (
            Stack((), (Layer("tc-csum", 4, 4), Layer("geneve", 4, 6), Layer("vxlan", 6, 6)), 6),
            "Udp6InCsumErrors",
            "csum-action-forgets-partial",
        ),
        (Stack((), (Layer("gre-external", 4, 4, ("seq",)),), 4), "rx_errors", "gre-external-seq"),
        (Stack((), (Layer("gre-external", 4, 4),), 4), "rx_errors", None),
        (Stack((Layer("gretap-external", 6, 6, ("seq",)),), (), 6), "lost", "gre-external-seq"),
        (
            Stack((), (Layer("gretap-external", 4, 4, ("csum",)),), 4, "tx off", "udp"),
            "lost",
            "gre-external-csum",
        ),
        (
            Stack((), (Layer("vlan", 4, 6), Layer("fou", 6, 6)), 6, offload="txvlan off"),
            "tx_dropped",
            "vlan-in-band-fou",
        ),
        (Stack((), (Layer("vlan", 4, 6), Layer("fou", 6, 6)), 6), "tx_dropped", None),
        (
            Stack((), (Layer("qinq", 4, 6), Layer("tc-vlan", 6, 6), Layer("fou", 6, 6)), 6),
            "drops in validate_xmit_skb, NOT_SPECIFIED",
            "vlan-in-band-fou",
        ),
        (
            Stack((), (Layer("gue", 6, 4, ("remcsum",)),), 4, "tso off", "udp"),
            "lost",
            "remcsum-mark-across-veth",
        ),
        (Stack((), (Layer("gue", 6, 4, ("remcsum",)),), 4, "tso off"), "lost", None),
        (
            Stack((Layer("vxlan", 4, 4),), (Layer("tc-mpls", 4, 4),), 4),
            "tx_dropped",
            "stale-inner-protocol",
        ),
        (
            Stack((Layer("seg6local-dx", 6, 4),), (), 4, traffic="big tcp"),
            "retransmits",
            "seg6-big-tcp",
        ),
        (
            Stack((), (Layer("seg6-red", 6, 4),), 4, "tunnel features off", "big tcp"),
            "retransmits",
            "seg6-big-tcp",
        ),
        # The director cuts it, and writes the lengths anew.
        (Stack((), (SEG6,), 6, "tso off", "big tcp"), "retransmits", None),
        (
            Stack((), (Layer("seg6local-dt4", 6, 4),), 4, "tunnel features off", "udp"),
            "Udp.InErrors",
            "seg6-vrf-mac-header",
        ),
        (
            Stack((), (Layer("seg6local-dt46", 6, 6),), 6, "tunnel features off", "udp"),
            "machine lost",
            "seg6-vrf-mac-header",
        ),
        (
            Stack((), (Layer("seg6local-dx", 6, 4),), 4, "tunnel features off", "udp"),
            "Udp.InErrors",
            None,
        ),
        (Stack((Layer("bpf-away", 6, 4),), (), 4, traffic="udp"), "lost", "bpf-room-datagrams"),
        (Stack((), (Layer("bpf-away", 4, 4),), 4, traffic="sctp"), "lost", "bpf-room-datagrams"),
        (Stack((Layer("bpf-away", 6, 4),), (), 4), "lost", None),
        (
            Stack(
                (Layer("geneve", 6, 6),),
                (Layer("geneve-external", 6, 4), Layer("ipvs-gue", 4, 6, ("csum",))),
                *(6, "tx off"),
                arrival="gro list",
            ),
            "Udp.InCsumErrors",
            "fraglist-in-tunnel",
        ),
        (
            Stack(
                (Layer("geneve", 6, 6),),
                (Layer("geneve-external", 6, 4), Layer("ipvs-gue", 4, 6)),
                *(6, "tx off"),
                arrival="gro list",
            ),
            "Udp.InCsumErrors",
            None,
        ),
    ],
)
def test_findings_with_the_marks_of_a_known_fault_have_its_name(stack, complaint, known):
    found = recognised(stack, [complaint])
    assert (found and found["name"]) == known


def test_known_faults_have_marks_of_kinds_that_there_are():
    for fault in read():
        for leg in ("near", "far"):
            for glob in fault.get(leg, ()):
                marks = {" ".join((f"{one.kind}{one.outer}", *one.options)) for one in LAYERS}
                assert fnmatch.filter(marks, glob), glob
