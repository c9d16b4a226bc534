"""What the guest is told of a scenario: every name filled in."""

from __future__ import annotations

from gso.kernel.guest.addresses import CLIENT_IP, DIRECTOR_OUT, VIP
from gso.kernel.guest.complaints import COUNTED
from gso.kernel.guest.datagrams import _HEADER
from gso.kernel.guest.traffic import PROTOCOLS
from gso.kernel.scenarios import SCENARIOS, TRAFFIC, plan, select


def planned(name: str) -> dict:
    (found,) = plan(select([name]))
    return found


def test_masquerading_leads_to_an_address_of_the_workers_own():
    masquerading = planned("ipvs-masq-sctp-inner4")
    assert masquerading["target"] == VIP[4]
    assert masquerading["listens"] == masquerading["server"] != VIP[4]
    tunnel = planned("gue-outer4-inner4-nocsum")
    assert tunnel["listens"] == tunnel["target"] == VIP[4]
    routed = planned("mpls-outer6-inner6")
    assert routed["listens"] == routed["target"] == routed["server"]


def test_a_client_has_an_address_of_its_machine():
    assert planned("ipvs-masq-sctp-inner6")["source"] == CLIENT_IP[6]
    assert planned("local-gue-outer4-inner6-csum")["source"] == DIRECTOR_OUT[6]


def test_the_guest_knows_each_protocol_and_each_counter():
    assert {scenario.protocol for scenario in SCENARIOS} <= {*PROTOCOLS}
    assert {name for scenario in SCENARIOS for name in scenario.refusals} <= {*COUNTED}


def test_a_datagram_has_room_for_what_the_guest_writes_in_it():
    assert all(traffic.datagram >= _HEADER.size for traffic in TRAFFIC if traffic.datagram)
    # A packet of its kind is shorter than an outer IP header and GRE with checksum, key and number.
    (tiny,) = (traffic for traffic in TRAFFIC if traffic.name == "tiny")
    assert 20 + 8 + tiny.datagram < 20 + 4 + 4 + 4 + 4
