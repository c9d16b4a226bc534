"""The compiled encapsulation does what the plain one does, and decapsulation undoes it."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gso
import handmade
import packets
from effort import examples
from gso import GsoError
from reference.encapsulation import Inner, encapsulate

ADDRESSES = {
    4: {"source": "192.0.2.1", "destination": "198.51.100.2"},
    6: {"source": "2001:db8::1", "destination": "2001:db8:ffff::2"},
}
VERSIONS = {"ipip": [4], "sit": [4], "ip6tnl": [6]}
IN_UDP = ["fou", "gue", "vxlan", "vxlan-gpe", "geneve", "bareudp", "gtp-u"]
KINDS = ["ipip", "sit", "ip6tnl", "gre", *IN_UDP]
OPTIONS = [b"", bytes(4), b"\1\2\3\1abcd", b"\1\2\x83\0" + b"\1\2\3\2abcdefgh"]
HEADERS = {
    "key": st.integers(0, (1 << 24) - 1),
    "sequence": st.integers(0, (1 << 32) - 1),
    "options": st.sampled_from(OPTIONS),
    "policy": packets.any16,
    "encap_limit": st.integers(0, 255),
}
TAKES = {
    "gre": ["key", "sequence", "encap_limit"],
    "ip6tnl": ["encap_limit"],
    "vxlan": ["key", "policy"],
    "vxlan-gpe": ["key"],
    "geneve": ["key", "options"],
    "gtp-u": ["key"],
}
BITS = st.sampled_from([1 << bit for bit in range(8)])
# Most are in the Ethernet type and the IP header up to the addresses.
PLACES = st.sampled_from([*range(12), *list(range(12, 26)) * 3, *range(26, 60)])
CARRIES = {"gre": ["ip", "ethernet"], "geneve": ["ethernet", "ip"]}


@st.composite
def tunnels(draw):
    """A kind of tunnel, and parameters for it."""
    kind = draw(st.sampled_from(KINDS))
    version = draw(st.sampled_from(VERSIONS.get(kind, [4, 6])))
    chosen = dict(ADDRESSES[version])
    for name in TAKES.get(kind, []):
        if draw(st.booleans()) and not (name == "encap_limit" and version == 4):
            chosen[name] = draw(HEADERS[name])
    if kind in CARRIES and draw(st.booleans()):
        chosen["inner"] = draw(st.sampled_from(CARRIES[kind]))
    if kind in (*IN_UDP, "gre"):
        chosen["checksum"] = draw(st.sampled_from([False, True, "partial"]))
    encap = draw(st.sampled_from([None, "fou", "gue"])) if kind == "gre" else None
    if encap:
        chosen["encap"] = encap
    if kind in IN_UDP or encap:
        chosen["source_port"] = draw(packets.any16)
        if "fou" in (kind, encap) or kind == "bareudp" or draw(st.booleans()):
            chosen["port"] = draw(st.integers(1, 65535))
    chosen["tos"] = draw(st.sampled_from([0, 0xB8, 3, "inherit"]))
    chosen["ttl"] = draw(st.sampled_from([64, 1, 255, "inherit"]))
    if version == 4:
        chosen["df"] = draw(st.sampled_from([None, True, False, "inherit"]))
        chosen["ip_id"] = draw(packets.any16)
    else:
        chosen["flow_label"] = draw(st.integers(0, 0xFFFFF))
    if draw(st.booleans()):
        chosen["link"] = draw(st.sampled_from([b"", bytes(range(14)), bytes(range(18))]))
    return kind, chosen


def on_port(kind, chosen):
    """What the UDP port carries, as `tunnel_ports` says it."""
    if kind == "gre":
        return ("fou", 47) if chosen["encap"] == "fou" else "gue"
    return "fou" if kind in ("bareudp", "gtp-u") else kind


def can_carry(kind, chosen, frame, link_type):
    """Whether the tunnel carries this frame."""
    if chosen.get("inner", "ethernet" if kind in ("vxlan", "geneve") else "ip") == "ethernet":
        return link_type == "ethernet" and len(frame) >= 14
    version = Inner(frame, link_type, False).version
    return version in {"ipip": (4,), "sit": (6,)}.get(kind, (4, 6))


@settings(max_examples=examples(500), deadline=None)
@given(packets.frames(), tunnels(), st.binary(max_size=3))
def test_a_packet_in_a_tunnel(frame_and_link, tunnel, padding):
    frame, link_type = frame_and_link
    frame += padding
    kind, chosen = tunnel
    if not can_carry(kind, chosen, frame, link_type):
        with pytest.raises(GsoError, match="frame 0: the tunnel"):
            gso.encapsulate([frame], kind, link_type=link_type, **chosen)
        return
    chosen["link_type"] = link_type
    expected = encapsulate(frame, kind, chosen)
    assert gso.encapsulate([frame], kind, **chosen).to_list() == [expected]
    sequence = {"sequence": (chosen["sequence"] - 1) % (1 << 32)} if "sequence" in chosen else {}
    several = gso.encapsulate([frame, frame], kind, **chosen | sequence).to_list()
    assert several[1] == expected


@st.composite
def like(draw, frame):
    """The frame, or one of the same length with other bytes in its headers."""
    changed = bytearray(frame)
    for at, bit in draw(st.lists(st.tuples(PLACES, BITS), max_size=2)):
        if at < len(changed):
            changed[at] ^= bit
    return bytes(changed)


@settings(max_examples=examples(500), deadline=None)
@given(packets.frames(), tunnels(), st.data())
def test_a_batch_is_its_frames_one_by_one(frame_and_link, tunnel, data):
    """Whatever a frame takes over from the one before, it is what it would be alone."""
    frame, link_type = frame_and_link
    kind, chosen = tunnel
    chosen["link_type"] = link_type
    if data.draw(st.booleans()):
        chosen.pop("source_port", None)
    if kind in ("gue", "vxlan") and data.draw(st.booleans()):
        chosen["remcsum"] = True
    frames = [
        one
        for one in data.draw(st.lists(like(frame), min_size=2, max_size=6))
        if can_carry(kind, chosen, one, link_type)
    ]
    many = {
        name: data.draw(st.lists(packets.any16, min_size=len(frames), max_size=len(frames)))
        for name in ("source_port", "ip_id", "flow_label")
        if name in chosen and data.draw(st.booleans())
    }
    alone = []
    for i, one in enumerate(frames):
        own = {name: values[i] for name, values in many.items()}
        if "sequence" in chosen:
            own["sequence"] = (chosen["sequence"] + i) % (1 << 32)
        alone += gso.encapsulate([one], kind, **chosen | own).to_list()
    assert gso.encapsulate(frames, kind, **chosen | many).to_list() == alone


@settings(max_examples=examples(300), deadline=None)
@given(packets.frames(), tunnels())
def test_out_of_the_tunnel_again(frame_and_link, tunnel):
    frame, link_type = frame_and_link
    kind, chosen = tunnel
    assume(kind != "gtp-u")  # the kernel's segmenters do not know it
    assume(can_carry(kind, chosen, frame, link_type))
    chosen.pop("link", None)
    made = gso.encapsulate([frame], kind, link_type=link_type, **chosen)
    ports = {chosen["port"]: on_port(kind, chosen)} if "port" in chosen else None
    try:
        [inside] = gso.decapsulate(made, link_type=link_type, tunnel_ports=ports).to_list()
    except GsoError:
        # The packet inside is not one that can be walked.
        with pytest.raises(GsoError):
            gso.parse(made[0], link_type=link_type, tunnel_ports=ports)
        return
    carried = Inner(frame, link_type, whole=False)
    if chosen.get("inner", "ethernet" if kind in ("vxlan", "geneve") else "ip") == "ethernet":
        assert inside == frame
    else:
        link = frame[:12] + frame[carried.at - 2 : carried.at] if link_type == "ethernet" else b""
        assert inside == link + carried.ip


@settings(max_examples=examples(500), deadline=None)
@given(packets.frames(), tunnels(), st.data())
def test_any_bytes_are_taken_out_or_refused(frame_and_link, tunnel, data):
    """Whatever is changed, what comes out is a part of what went in, or a refusal."""
    frame, link_type = frame_and_link
    kind, chosen = tunnel
    assume(can_carry(kind, chosen, frame, link_type))
    ports = {chosen["port"]: on_port(kind, chosen)} if "port" in chosen else None
    made = bytearray(gso.encapsulate([frame], kind, link_type=link_type, **chosen)[0])
    for _ in range(data.draw(st.integers(1, 3))):
        made[data.draw(st.integers(0, min(len(made) - 1, 120)))] = data.draw(st.integers(0, 255))
    made = made[: data.draw(st.integers(0, len(made)))]
    try:
        [inside] = gso.decapsulate([made], link_type=link_type, tunnel_ports=ports).to_list()
    except GsoError:
        return
    assert len(inside) <= len(made)


def alone(frame, options):
    """What is in the tunnel of one frame, or why that is refused."""
    try:
        return gso.decapsulate([frame], **options).to_list()[0]
    except GsoError as error:
        return str(error)


def in_turn(frames, options):
    """The same of each frame in batches of several: one ends at the first that is refused."""
    found = []
    while len(found) < len(frames):
        # A frame that is taken out goes before, so that a layout is there to be taken over.
        rest = [frames[0], *frames[len(found) :]]
        try:
            found += gso.decapsulate(rest, **options).to_list()[1:]
        except GsoError as error:
            number = int(str(error).split(":")[0].removeprefix("frame "))
            found += gso.decapsulate(rest[: max(number, 1)], **options).to_list()[1:]
            found.append(str(error).replace(f"frame {number}:", "frame 0:", 1))
    return found


KINDS_OF_TUNNELS = [
    ("ipip", 4, {}),
    ("sit", 4, {}),
    ("ip6tnl", 6, {}),
    ("gre", 4, {"key": 1, "checksum": True}),
    ("gre", 6, {"inner": "ethernet", "sequence": 7}),
    ("gre", 4, {"encap": "gue", "source_port": 9}),
    ("fou", 4, {"port": 5555}),
    ("gue", 6, {"checksum": True}),
    ("gue", 4, {"remcsum": True}),
    ("vxlan", 4, {"key": 5}),
    ("vxlan", 6, {"remcsum": True}),
    ("vxlan-gpe", 4, {}),
    ("geneve", 6, {"options": OPTIONS[2]}),
    ("bareudp", 4, {"port": 5556}),
]


@pytest.mark.parametrize(("kind", "version", "chosen"), KINDS_OF_TUNNELS)
def test_a_layout_is_taken_over_only_where_a_walk_would_find_it(kind, version, chosen):
    inner = {"ipip": 4, "sit": 6}.get(kind, version)
    sides = [(ADDRESSES[inner][side], 443) for side in ("source", "destination")]
    packet = handmade.ethernet(handmade.tcp(*sides, bytes(60)))
    made = gso.encapsulate([packet], kind, **ADDRESSES[version], **chosen)
    ports = {chosen["port"]: on_port(kind, chosen)} if "port" in chosen else None
    options = {"tunnel_ports": ports}
    one = bytes(made[0])
    assert isinstance(alone(one, options), bytes)
    frames = [one]
    for at in range(len(one) - len(packet) + 60):
        for bit in range(8):
            changed = bytearray(one)
            changed[at] ^= 1 << bit
            frames.append(bytes(changed))
    frames += [one[:size] for size in range(0, len(one), 3)]
    assert in_turn(frames, options) == [alone(frame, options) for frame in frames]
