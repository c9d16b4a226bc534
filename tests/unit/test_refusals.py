"""Errors that segmenters returned, in logs of calls that show no sk_buff."""

from __future__ import annotations

import io

import pytest

import gso

GOING_UP = """\
# tracer: function_graph
 1)               |  __skb_gso_segment() {
 1)               |    skb_mac_gso_segment() {
 1)               |      inet_gso_segment() {
 1)               |        skb_udp_tunnel_segment() {
 1)   0.505 us    |          __skb_udp_tunnel_segment(); /* = RESULT */
 1)   1.286 us    |        } /* skb_udp_tunnel_segment = RESULT */
 1)   1.286 us    |      } /* inet_gso_segment ret=RESULT */
 1)   1.286 us    |    } /* skb_mac_gso_segment ret=RESULT */
 1)   1.286 us    |  } /* __skb_gso_segment ret=RESULT */
"""


def read(text: str) -> gso.Trace:
    return gso.read_trace(io.BytesIO(text.encode()))


@pytest.mark.parametrize("value", ["-22", "0xffffffea", "0xffffffffffffffea"])
@pytest.mark.parametrize("times", [1, 3])
def test_an_error_is_counted_once_a_packet(value, times):
    text = GOING_UP.replace("RESULT", value)
    diagnosis = gso.diagnose(read(text + text.split("\n", 1)[1] * (times - 1)))
    [case] = diagnosis.cases
    assert case.rules == ("segmenter-error",)
    assert case.packets == times
    assert case.results == {"__skb_udp_tunnel_segment": -22}
    assert "EINVAL" in case.message
    assert case.example.line == 6
    assert not diagnosis.clean


def test_batches_do_not_matter():
    text = GOING_UP.replace("RESULT", "-22") + GOING_UP.replace("RESULT", "-93")
    with gso.TraceReader(io.BytesIO(text.encode()), rows=1) as reader:
        cases = gso.diagnose(reader).cases
    assert [(case.results, case.packets) for case in cases] == [
        ({"__skb_udp_tunnel_segment": -22}, 1),
        ({"__skb_udp_tunnel_segment": -93}, 1),
    ]


@pytest.mark.parametrize("value", ["0", "0xffff888012345600", "-4096", "22"])
def test_segments_are_no_error(value):
    diagnosis = gso.diagnose(read(GOING_UP.replace("RESULT", value)))
    assert not diagnosis.cases
    assert not diagnosis.clean


def test_errors_of_other_functions_are_none_of_segmenters():
    text = " 1)   0.505 us    |  ip_route_input_slow(); /* = -113 */\n" * 3
    diagnosis = gso.diagnose(read(text))
    assert not diagnosis.cases
    assert not diagnosis.clean


def test_a_probe_of_a_return_is_read_alike():
    line = (
        "  iperf3-1 [001] ..s.. {}.5: r_x: "
        "(inet_gso_segment+0x1/0x2 <- skb_udp_tunnel_segment) arg1={}\n"
    )
    text = line.format(1, "0xffffffffffffffea") + line.format(2, "0xffffffffffffffea")
    [case] = gso.diagnose(read(text)).cases
    assert case.results == {"skb_udp_tunnel_segment": -22}
    assert case.packets == 2


def test_right_offsets_and_an_error_are_not_clean():
    probe = "  iperf3-1 [001] ..s.. 1.{}: {}: ({}) skb=0xffff9ca661e90200 {}\n"
    fields = (
        "len=2992 data_len=2896 gso_size=1448 gso_type=1281 encapsulation=1 inner_mac_header=82 "
        "inner_network_header=82 inner_transport_header=102 transport_header=70 network_header=50"
    )
    entered = probe.format(1, "p", "skb_udp_tunnel_segment+0x0/0x1", fields)
    assert gso.diagnose(read(entered)).clean
    left = probe.format(2, "r", "f+0x1/0x2 <- skb_udp_tunnel_segment", "arg1=0xffffffea")
    left = left.replace("0xffffffea", "0xffffffffffffffea").replace(" skb=0xffff9ca661e90200", "")
    diagnosis = gso.diagnose(read(entered + left))
    [case] = diagnosis.cases
    assert (case.rules, case.packets) == (("segmenter-error",), 1)
    assert not diagnosis.clean
