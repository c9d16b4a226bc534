"""A header of 8 bytes of which only offsets are known: its rules' findings say what it may be."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from gso import GsoType, SkbState, Tunnel
from gso.constants import Context

DOUBT = "offsets alone do not tell"
TUNNELS = GsoType.UDP_TUNNEL | GsoType.UDP_TUNNEL_CSUM | GsoType.GRE | GsoType.GRE_CSUM
TUNNELS |= GsoType.IPXIP4 | GsoType.IPXIP6
ABOUT_TUNNELS = ("tunnel-header-", "inner-mac-length", "inner-header-unset")


def may_be_another(skb: SkbState) -> bool:
    """Whether the header is as long as one of IPv6, and nothing tells whose it is."""
    told = [
        skb.tunnel not in (None, Tunnel.NONE),
        skb.gso_type is not None and skb.gso_type & TUNNELS,
        skb.context is not None and skb.context & Context.TUNNEL_SEGMENTER,
    ]
    if any(told) or skb.transport_header is None or skb.inner_network_header is None:
        return False
    if skb.inner_network_header != skb.transport_header + 8:
        return False
    ipsec = skb.inner_mac_header is not None and (
        skb.inner_mac_header == 0 or skb.inner_mac_header > skb.inner_network_header
    )
    if skb.protocol == 0x86DD or ipsec:
        return True
    if skb.protocol == 0x0800:
        return False
    return skb.network_header is None or skb.network_header + 40 == skb.transport_header


@st.composite
def states(draw):
    transport = 120
    known = {
        "transport_header": transport,
        "network_header": transport - draw(st.sampled_from([20, 40, 60])),
        "inner_network_header": transport + draw(st.sampled_from([4, 8, 8, 8, 12, 16, 24])),
        "inner_mac_header": draw(st.sampled_from([0, 106, 118, 120, 122, 124, 128, 300, 0xFFFF])),
        "gso_type": draw(st.sampled_from([1, 16, 0x401, 0x101, 0x4001])),
        "tunnel": draw(st.sampled_from([Tunnel.NONE, Tunnel.FOU, Tunnel.GRE])),
        "protocol": draw(st.sampled_from([0x0800, 0x86DD, 0x8100])),
        "context": draw(st.sampled_from([0, Context.TRANSMIT, Context.TUNNEL_SEGMENTER])),
        "encapsulation": draw(st.sampled_from([0, 1])),
        "gso_size": 1400,
        "len": 3000,
    }
    sure = {"transport_header", "inner_network_header", "inner_mac_header"}
    unknown = draw(st.sets(st.sampled_from(sorted(known.keys() - sure))))
    return SkbState(**{name: value for name, value in known.items() if name not in unknown})


@settings(max_examples=examples(500))
@given(states())
def test_a_doubt_is_said_where_there_is_one(skb):
    for finding in gso.validate(skb):
        doubted = may_be_another(skb) and finding.rule.startswith(ABOUT_TUNNELS)
        assert (DOUBT in finding.message) == doubted, finding
        assert finding.likely_cause.startswith("If it is a tunnel's header: ") == doubted
        assert finding.kernel_outcome.startswith("If it is a tunnel's header: ") == doubted


LINE = (
    "0xffff888123456700 1 [curl:77] __dev_queue_xmit ifindex=4 proto=dd86 mtu=1500 "
    "len=3000 network_header=80 transport_header=120 inner_mac_header=118 inner_network_header={}\n"
)


@pytest.mark.parametrize(
    ("stack", "gap", "doubted"),
    [
        ("ip6_finish_output2", 8, True),
        ("ip6_tnl_xmit", 8, True),  # it may put an option of IPv6 before the packet
        ("ip_vs_tunnel_xmit_v6", 8, False),
        ("skb_udp_tunnel_segment", 8, True),  # the stack of another event is no proof
        ("ip6_finish_output2", 12, False),
    ],
)
def test_an_encapsulator_tells_whose_header_it_is(stack, gap, doubted):
    log = LINE.format(120 + gap) + f"__dev_queue_xmit\n{stack}\n"
    (case,) = gso.diagnose(gso.read_trace(io.BytesIO(log.encode()))).cases
    assert case.rules[0] == "tunnel-header-negative"
    assert case.fields["tnl_hlen"] == -2
    assert (DOUBT in case.message) == doubted
    assert (case.missing_call == "") == doubted
    assert case.likely_cause.startswith("If it is a tunnel's header: ") == doubted
