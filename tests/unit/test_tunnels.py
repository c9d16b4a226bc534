"""The table of tunnels in UDP, and what is made of it."""

import pytest

import gso
import reference
from gso import Frames, GsoError, GsoType, Reason, Tunnel
from gso.cli import main
from gso.commands import common
from gso.headers.fields import dissect
from gso.headers.protocols import PROTOCOLS
from gso.headers.tunnels import BY_NAME, BY_PORT, UDP_TUNNELS
from handmade import ETHERNET, ethernet, tcp, udp
from reference import walk
from vectorset import PORTS, frame, records

CLIENT, OUTER = ("10.0.0.1", 40000), "10.9.9.9"
VXLAN = bytes.fromhex("08000000 00000500")


def vxlan(port):
    inner = ETHERNET + b"\x08\0" + tcp(payload=bytes(3000))
    return ethernet(udp(CLIENT, (OUTER, port), VXLAN + inner))


def test_known_ports():
    """The public contract names them."""
    tunnels = {port: row.tunnel for port, row in BY_PORT.items() if row.tunnel is not None}
    assert tunnels == {
        4789: Tunnel.VXLAN,
        8472: Tunnel.VXLAN,
        4790: Tunnel.VXLAN_GPE,
        6080: Tunnel.GUE,
        6081: Tunnel.GENEVE,
    }


def test_names_and_ports_are_unique():
    assert len(BY_NAME) == len(UDP_TUNNELS)
    assert len(BY_PORT) == sum(len(row.ports) for row in UDP_TUNNELS)


def test_every_tunnel_has_a_header_in_the_dissector():
    for row in UDP_TUNNELS:
        if row.tunnel not in (None, Tunnel.FOU):
            assert PROTOCOLS[row.name].fixed == row.length


@pytest.mark.parametrize("port", [4789, 8472])
def test_both_ports_of_vxlan(port):
    packet = vxlan(port)
    assert gso.parse(packet).tunnel is Tunnel.VXLAN
    made = gso.segment(packet, 1000)
    assert len(made) == 3
    assert made.to_list() == reference.segment(packet, 1000)
    assert "vxlan" in {field.header for field in dissect(packet)}
    assert gso.coalesce(made).gso_segs.tolist() == [3]


def test_a_tunnel_by_its_name():
    for r in records():
        ports = {port: _name(kind) for port, kind in PORTS.items()}
        packet = frame(r)
        assert gso.parse(packet, tunnel_ports=ports) == gso.parse(packet, tunnel_ports=PORTS)
        assert dissect(packet, tunnel_ports=ports) == dissect(packet, tunnel_ports=PORTS)


def _name(kind):
    if isinstance(kind, tuple):
        return _name(kind[0]), kind[1]
    return {Tunnel.FOU: "fou", Tunnel.GUE: "gue", Tunnel.VXLAN: "vxlan", Tunnel.GENEVE: "geneve"}[
        kind
    ]


@pytest.mark.parametrize("plain", [None, "none", Tunnel.NONE])
def test_plain_udp_whatever_it_looks_like(plain):
    packet = vxlan(4789)
    layout = gso.parse(packet, tunnel_ports={4789: plain})
    assert (layout.tunnel, layout.l4, layout.payload) == (Tunnel.NONE, gso.L4.UDP, 42)
    made = gso.segment(packet, 1000, tunnel_ports={4789: plain})
    assert made.to_list() == reference.segment(packet, 1000, tunnel_ports={4789: plain})
    assert "vxlan" not in {f.header for f in dissect(packet, tunnel_ports={4789: plain})}


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ({5555: "gre"}, "'gre' is no UDP tunnel, only fou, gue, vxlan"),
        ({5555: ("gue", 4)}, "only Tunnel.FOU takes an IP protocol, not 'gue'"),
        ({5555: ("fou", 0)}, "IP protocol 0 is not between 1 and 255"),
        ({5555: Tunnel.GRE}, "does not run over a UDP port"),
        ({70000: "gue"}, "UDP port 70000 is not between 0 and 65535"),
    ],
)
def test_what_no_port_carries(ports, message):
    with pytest.raises(ValueError, match=message):
        gso.parse(vxlan(4789), tunnel_ports=ports)


def test_the_commands_know_the_same():
    for name in BY_NAME:
        assert common._tunnel_port(f"5000={name}") == (5000, name)
    assert common._tunnel_port("5000=fou:47") == (5000, ("fou", 47))
    assert common._tunnel_port("4789=none") == (4789, "none")


OPAQUE = [port for port, row in BY_PORT.items() if row.tunnel is None]


@pytest.mark.parametrize("port", OPAQUE)
class TestNeverCutByGuess:
    """A large UDP payload on such a port is no run of datagrams, unless somebody says so."""

    def packet(self, port, size=3000):
        return ethernet(udp(CLIENT, (OUTER, port), bytes(size)))

    def test_refused(self, port):
        packet = self.packet(port)
        message = f"UDP port {port} .byte 36. is for {BY_PORT[port].name}, "
        for call in (gso.segment, gso.segment_headers):
            with pytest.raises(GsoError, match=message) as info:
                call(packet, 1000)
            error = info.value
            assert (error.reason, error.field) == (Reason.UNSUPPORTED, "dest")
            assert (error.offset, error.limit) == (36, port)
        with pytest.raises(GsoError) as info:
            reference.segment(packet, 1000)
        assert (info.value.reason, info.value.field) == (Reason.UNSUPPORTED, "dest")

    def test_passed_on_in_a_batch(self, port):
        frames = Frames.from_list([self.packet(port), self.packet(9), self.packet(port)])
        assert gso.segment_batch(frames, 1000, errors="pass").parent.tolist() == [0, 1, 1, 1, 2]

    def test_the_layout_remembers(self, port):
        packet = self.packet(port)
        with pytest.raises(GsoError):
            gso.segment(packet, 1000, layout=gso.parse(packet))

    @pytest.mark.parametrize(
        "options",
        [{"gso_type": GsoType.UDP_L4}, {"gso_type": GsoType.UDP}, {"tunnel_ports": {}}],
    )
    def test_cut_when_the_caller_says_so(self, port, options):
        packet = self.packet(port)
        if "tunnel_ports" in options:
            options = {"tunnel_ports": {port: None}}
        made = gso.segment(packet, 1000, **options)
        assert len(made) > 2
        assert made.to_list() == reference.segment(packet, 1000, **options)

    def test_completed_as_any_packet(self, port):
        packet = self.packet(port)
        assert gso.segment(packet, 0).to_list() == [packet]

    def test_a_port_of_the_callers(self, port):
        with pytest.raises(GsoError):
            gso.segment(self.packet(5000), 1000, tunnel_ports={5000: BY_PORT[port].name})

    def test_merged_only_when_the_caller_says_so(self, port):
        pieces = gso.segment(self.packet(port), 1000, tunnel_ports={port: None})
        assert gso.coalesce(pieces).gso_segs.tolist() == [1, 1, 1]
        assert gso.coalesce(pieces, tunnel_ports={port: None}).gso_segs.tolist() == [3]
        frames = pieces.to_list()
        assert [len(n) for n, _ in reference.coalesce(frames)] == [1, 1, 1]

    def test_inside_a_tunnel(self, port):
        inner = ETHERNET + b"\x08\0" + udp(CLIENT, (OUTER, port), bytes(3000))
        packet = ethernet(udp(CLIENT, (OUTER, 4789), VXLAN + inner))
        with pytest.raises(GsoError, match=BY_PORT[port].name):
            gso.segment(packet, 1000)

    def test_left_by_the_command(self, port, tmp_path, capsys):
        source, target = tmp_path / "in.pcap", tmp_path / "out.pcap"
        frames = Frames.from_list([self.packet(port), self.packet(9)])
        gso.write_capture(source, frames)
        assert main(["segment", str(source), str(target), "--udp-size", "1000"]) == 1
        assert bytes(gso.read_capture(target).frames[0]) == self.packet(port)
        assert len(gso.read_capture(target).frames) == 4
        assert f"--tunnel-port {port}=none" in capsys.readouterr().out
        plain = ["--tunnel-port", f"{port}=none"]
        assert main(["segment", str(source), str(target), "--udp-size", "1000", *plain]) == 0
        assert len(gso.read_capture(target).frames) == 6


def test_the_reference_knows_the_same_ports():
    assert set(walk.OPAQUE) == set(OPAQUE)
