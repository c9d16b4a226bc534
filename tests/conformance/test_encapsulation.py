"""What the kernel's tunnel devices made, made again: taken out of the tunnel and put back in."""

import struct
from collections import Counter
from ipaddress import ip_address

import pytest

import gso
from vectorset import PORTS, frame, outputs, records

KINDS = {
    gso.Tunnel.IPIP: "ipip",
    gso.Tunnel.SIT: "sit",
    gso.Tunnel.IP6TNL: "ip6tnl",
    gso.Tunnel.GRE: "gre",
    gso.Tunnel.FOU: "fou",
    gso.Tunnel.GUE: "gue",
    gso.Tunnel.VXLAN: "vxlan",
    gso.Tunnel.GENEVE: "geneve",
}


def number(data, at, size):
    return int.from_bytes(data[at : at + size], "big")


def outer_ip(packet, at):
    """The parameters that stand in an outer IP header, and where the header ends."""
    if packet[at] >> 4 == 4:
        source, destination = packet[at + 12 : at + 16], packet[at + 16 : at + 20]
        found = {
            "tos": packet[at + 1] & ~3,
            "ttl": packet[at + 8],
            "ip_id": number(packet, at + 4, 2),
        }
        end = at + 20
    else:
        source, destination = packet[at + 8 : at + 24], packet[at + 24 : at + 40]
        word = number(packet, at, 4)
        found = {"tos": word >> 20 & 0xFF, "ttl": packet[at + 7], "flow_label": word & 0xFFFFF}
        end = at + 40
        if packet[at + 6] == 60:  # a tunnel encapsulation limit
            found["encap_limit"] = packet[end + 4]
            end += 8
    found |= {"source": ip_address(source), "destination": ip_address(destination)}
    return found, end


def in_udp(kind, packet, at, checksum):
    header = packet[at + 8 :]
    found = {"source_port": number(packet, at, 2), "port": number(packet, at + 2, 2)}
    if number(packet, at + 6, 2):
        found["checksum"] = checksum
    if kind == "gue" and header[3] & 1 and header[4] & 0x80:
        found["remcsum"] = True
    if kind == "vxlan":
        found |= {"key": number(header, 4, 3), "remcsum": bool(header[1] & 0x20)}
    if kind == "geneve":
        found |= {"key": number(header, 4, 3), "options": header[8 : 8 + (header[0] & 63) * 4]}
        found["inner"] = "ethernet" if header[2:4] == b"\x65\x58" else "ip"
    return found


def in_gre(packet, at, checksum):
    flags, proto = struct.unpack_from(">HH", packet, at)
    found = {"inner": "ethernet" if proto == 0x6558 else "ip"}
    at += 4
    if flags & 0x8000:
        found["checksum"] = checksum
        at += 4
    if flags & 0x2000:
        found["key"] = number(packet, at, 4)
        at += 4
    if flags & 0x1000:
        found["sequence"] = number(packet, at, 4)
    return found


def parameters(packet, layout, checksum):
    """What to tell `encapsulate` so that it makes this packet's outer headers."""
    kind = KINDS[layout.tunnel]
    found, at = outer_ip(packet, layout.network_header)
    if kind == "gre":
        found |= in_gre(packet, at, checksum)
    elif kind not in ("ipip", "sit", "ip6tnl"):
        found |= in_udp(kind, packet, at, checksum)
    return kind, found


# Their devices have "df set"; IPVS takes DF from the packet. All others do what is the default.
DF_SET = ("geneve-csum", "vxlan-csum", "ipvs")


def made_again(packet, checksum, config):
    """The packet, taken out of its tunnel and put in again; None if the tunnel cannot be made."""
    layout = gso.parse(packet, tunnel_ports=PORTS)
    if layout.tunnel not in KINDS:
        return None
    kind, found = parameters(packet, layout, checksum)
    if carries_gre(packet, layout):
        found |= in_gre(packet, gre_header(packet, layout), checksum) | {"encap": kind}
        kind = "gre"
    if config.startswith(DF_SET) and layout.outer_version == 4:
        found["df"] = bool(packet[layout.network_header + 6] & 0x40)
    inside = gso.decapsulate([packet], tunnel_ports=PORTS)
    [made] = gso.encapsulate(inside, kind, link=packet[: layout.network_header], **found).to_list()
    return made


def carries_gre(packet, layout):
    """Whether FOU or GUE carries GRE."""
    at = layout.transport_header
    if layout.tunnel == gso.Tunnel.GUE:
        return packet[at + 9] == 47
    told = PORTS.get(number(packet, at + 2, 2))
    return layout.tunnel == gso.Tunnel.FOU and told == (gso.Tunnel.FOU, 47)


def gre_header(packet, layout):
    """Where the GRE header in FOU or GUE starts."""
    at = layout.transport_header + 8
    return at + 4 + (packet[at] & 31) * 4 if layout.tunnel == gso.Tunnel.GUE else at


def without_gre_sum(packet):
    """The packet with 0 in the checksum field, which the kernel leaves as it is in GSO packets."""
    layout = gso.parse(packet, tunnel_ports=PORTS)
    at = layout.transport_header
    if layout.tunnel == gso.Tunnel.GRE and packet[at] & 0x80:
        return packet[: at + 4] + bytes(4) + packet[at + 8 :]
    return packet


def is_gso(record):
    """Whether this is a super-packet whose length its outer headers can say.

    Without GSO the outer checksum is that of the packet whose inner checksum a device completes.
    """
    return len(record["outputs"]) > 1 and len(frame(record)) < 65536


NAMES = sorted(
    {r["config"] for r in records() if gso.parse(frame(r), tunnel_ports=PORTS).tunnel in KINDS}
)


@pytest.mark.parametrize("config", NAMES)
def test_super_packets_and_their_segments_are_made_again(config):
    seen = Counter()
    for record in records():
        if record["config"] != config or record["dropped"]:
            continue
        packet = without_gre_sum(frame(record))
        again = made_again(packet, "partial", config) if is_gso(record) else None
        seen["super-packets"] += again is not None
        assert again in (None, packet), record["name"]
        for segment in outputs(record):
            again = made_again(segment, True, config)
            seen["segments"] += again is not None
            assert again in (None, segment), record["name"]
    if config not in OTHERS:
        assert seen["super-packets"] > 0
        assert seen["segments"] > 0


# GRE inside FOU and GUE is not made.
OTHERS = {name for name in NAMES if "-gre" in name and name.startswith(("fou", "gue"))}
