"""The hunt: what is made smaller, the judge, drawings, scripts, and what a guest does."""

from __future__ import annotations

import ast
import json
import os
import re
import struct
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from gso.kernel.guest import bench, features, judge, push
from gso.kernel.guest import hunt as guest
from gso.kernel.guest.stacks import (
    OFFLOADS,
    RESTORED,
    TRAFFICS,
    Layer,
    Stack,
    contains,
    explains,
    way,
)
from gso.kernel.guest.traffic import PROTOCOLS
from gso.kernel.hunting import drawing
from gso.kernel.hunting.script import script

from hunts import (
    CLEAN,
    DEAF,
    DROPS,
    FOUND,
    GUE,
    INCIDENT,
    MANY,
    RULES,
    SMALLEST,
    WHOLE,
    Kernel,
    exchange,
)

DATA = Path(__file__).with_name("data")
# --- the judge ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measured", "outcome"),
    [
        (CLEAN, "clean"),
        ({**CLEAN, "runs": [{**WHOLE, "segmented": 0}]}, "not exercised"),
        ({"refused": "Unknown device type"}, "refused"),
        ({"controls": [DEAF], "runs": []}, "illegal"),
        ({**FOUND, "controls": [WHOLE, DEAF]}, "illegal"),
        # Once is not enough, and neither is what the control has, too.
        ({**FOUND, "runs": [DROPS, WHOLE]}, "clean"),
        ({**FOUND, "controls": [WHOLE, DROPS]}, "clean"),
        ({**FOUND, "runs": [DROPS, DEAF]}, "clean"),
        ({**FOUND, "runs": [{**WHOLE, "retransmits": 3}] * 2}, "clean"),
    ],
)
def test_what_is_no_finding(measured, outcome):
    assert not judge.suspicious(measured)
    assert judge.outcome(measured) == outcome


@pytest.mark.parametrize("bad", [DROPS, DEAF, {**WHOLE, "upload_intact": False}])
def test_what_is_a_finding(bad):
    assert judge.suspicious({**FOUND, "runs": [bad] * 2})


def test_a_finding_is_made_smaller_until_nothing_can_go(tmp_path):
    kernel = Kernel("ipvs-gue", tmp_path)
    assert kernel.judged(INCIDENT, 5)["text"] == str(SMALLEST)
    told = json.loads((tmp_path / "finding-5.json").read_text())
    assert Stack.of(told["stack"]) == SMALLEST
    assert (tmp_path / "finding-5.trace").read_text() == "a trace"
    assert kernel.tried < 30


def test_what_was_found_before_is_the_same(tmp_path):
    kernel = Kernel("ipvs-gue", tmp_path)
    first = kernel.judged(INCIDENT, 5)
    tried = kernel.tried
    assert kernel.judged(INCIDENT, 6)["same_as"] == str(SMALLEST)
    assert kernel.tried == tried + 1
    # A machine that is booted later knows it, too.
    told = json.loads((tmp_path / "finding-5.json").read_text())
    later = Kernel("ipvs-gue", tmp_path, known=[told])
    assert later.judged(INCIDENT, 7)["same_as"] == str(SMALLEST)
    assert Kernel("vlan", tmp_path).judged(INCIDENT, 8)["text"] != first["text"]


def test_a_finding_is_not_made_smaller_to_one_of_another_fault(tmp_path):
    label, remcsum = Layer("mpls", 6, 6), Layer("gue", 6, 4, ("remcsum",))
    sums = exchange(**{"Tcp.InCsumErrors": 12})
    drops = exchange(tx_dropped=12)

    class Both(Kernel):
        def measured(self, stack, offloads=()):  # noqa: ARG002
            bad = drops if label in stack.far else sums if remcsum in stack.far else WHOLE
            return {**FOUND, "runs": [{**bad, "retransmits": 30 * (bad != WHOLE)}] * 2}

    found = Both("", tmp_path).judged(Stack((), (label, remcsum), 4), 5)
    assert "mpls" in found["text"]


def test_a_finding_has_all_that_its_smallest_stack_is_complained_of(tmp_path):
    """A larger one may have less: what it drops is lost at another device."""

    class Less(Kernel):
        def measured(self, stack, offloads=()):  # noqa: ARG002
            drops = WHOLE if len(stack.far) > 1 else exchange(tx_dropped=10)
            bad = {**drops, "retransmits": 27}
            tunnels = any(layer.kind == "fou" for layer in stack.far)
            return {**FOUND, "runs": [bad if tunnels else WHOLE] * 2}

    layers = Layer("fou", 4, 4), Layer("vxlan", 4, 4)
    Less("", tmp_path).judged(Stack((), layers, 4), 5)
    told = json.loads((tmp_path / "finding-5.json").read_text())
    assert told["complaints"] == ["retransmits", "tx_dropped"]


def test_what_is_lost_or_sent_again_leads_to_no_smaller_stack_of_another_fault():
    """Of a label above GUE with remote checksums, not GUE with remote checksums alone."""
    drops = frozenset({"tx_dropped", "lost", "retransmits"})
    sums = frozenset({"Tcp.InCsumErrors", "lost", "retransmits"})
    assert not judge.same(drops, sums)
    assert judge.same(drops, drops) == drops
    assert judge.same(drops, sums | {"tx_dropped"}) == drops
    # Where nothing else was found they are what there is.
    again = frozenset({"retransmits"})
    assert judge.same(again, sums) == again


def test_a_finding_explains_those_of_stacks_that_contain_it_or_look_like_it():
    six = replace(SMALLEST, far=(replace(GUE, options=(), outer=6, inner=4),), inner=4)
    within = replace(six, far=(replace(six.far[0], inner=6),), inner=6)
    assert explains(SMALLEST, INCIDENT)
    assert explains(six, within)
    assert not explains(SMALLEST, six)
    assert not explains(INCIDENT, SMALLEST)


def test_drops_of_segmenters_are_told_from_others():
    trace = """
 python3-9 [000] b..1. 1.5: kfree_skb: skbaddr=0 rx_sk=0 protocol=2048 location=validate_xmit_skb+0x1a2/0x330 reason: NOT_SPECIFIED
 python3-9 [000] b..1. 1.5: kfree_skb: skbaddr=0 rx_sk=0 protocol=2048 location=__dev_queue_xmit+0x1a2/0x330 reason: SKB_BAD_GSO
 python3-9 [000] b..1. 1.5: kfree_skb: skbaddr=0 rx_sk=0 protocol=2048 location=xfrm_output_gso.isra.0+0x5/0x330 reason: NOT_SPECIFIED
 python3-9 [000] b..1. 1.5: kfree_skb: skbaddr=0 rx_sk=0 protocol=2048 location=tcp_v4_rcv+0x12/0x330 reason: NO_SOCKET
"""  # noqa: E501
    assert bench._drops(trace) == {
        "drops in validate_xmit_skb, NOT_SPECIFIED": 1,
        "drops in __dev_queue_xmit, SKB_BAD_GSO": 1,
    }


# --- drawings -------------------------------------------------------------------------------------


def test_every_stack_can_be_drawn_with_all_its_layers():
    for stack in MANY[:300]:
        root = ET.fromstring(drawing.layers(stack, RULES, "a <b>"))
        told = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
        names = [" ".join((layer.kind, *layer.options)) for layer in stack.far]
        assert [one.partition(":")[0] for one in told if one.partition(":")[0] in names] == names
        assert told[0].startswith("Ethernet")
        assert told[-1].startswith("payload")
        assert root.get("aria-label") == "a <b>"
        assert len(told) <= 4 + 2 * 3


def test_a_dropped_super_packet_is_drawn_with_its_offsets(tmp_path):
    drawn = drawing.offsets(DATA / "incident-unpatched.trace")
    assert "inner_mac_header should be" in drawn
    ET.fromstring(drawn)
    (tmp_path / "odd").write_text("no trace")
    assert drawing.offsets(tmp_path / "odd") == ""
    assert drawing.offsets(tmp_path / "none") == ""


# --- BPF ------------------------------------------------------------------------------------------


def test_a_pushed_header_lies_on_the_programs_stack():
    header = bytes(range(1, 25))
    code = push._code(0, header, 128)
    stack = bytearray(512)
    for operation, _, offset, value in struct.iter_unpack("<BBhi", code):
        if operation == 0x62:
            struct.pack_into("<i", stack, 512 + offset, value)
    assert stack[-24:] == header
    assert len(code) == 8 * (6 + 10)


@pytest.mark.parametrize(("header", "at"), [("45" + "00" * 19, 2), ("60" + "00" * 43, 4)])
def test_a_pushed_ip_header_gets_the_length_of_the_packet(header, at):
    """The program's stores and additions, run for a packet of 1000 bytes."""
    header, registers, stack = bytes.fromhex(header), [0] * 11, bytearray(512)
    for operation, which, offset, value in struct.iter_unpack("<BBhi", push._code(2, header, 0)):
        to, source = which & 15, which >> 4
        if operation == 0x61:
            registers[to] = 1000
        elif operation == 0x07 and to == 2:
            registers[to] += value
        elif operation == 0x6B:
            struct.pack_into(">H", stack, 512 + offset, registers[source])
    (length,) = struct.unpack_from(">H", stack, 512 - len(header) + at)
    assert length == (1020 if at == 2 else 1004)


@pytest.mark.parametrize("refused", [0, 50, 9])
def test_a_program_of_tc_stores_a_header_that_has_the_length_of_what_follows(refused):
    """The program, run for a packet of 1014 bytes, in the room that it asked for, if it gets it."""
    header = bytes.fromhex("6000000000002f40") + bytes(range(1, 33)) + bytes.fromhex("000086dd")
    code = list(struct.iter_unpack("<BBhi", push._egress(12, header)))
    registers, stack, packet, calls = [0] * 11, bytearray(512), bytearray(1014), []
    registers[1] = -1  # the packet
    at = 0
    while code[at][0] != 0x95:
        operation, which, offset, value = code[at]
        to, source, at = which & 15, which >> 4, at + 1
        if operation == 0x62:
            struct.pack_into("<i", stack, 512 + offset, value)
        elif operation == 0xB7:
            registers[to] = value
        elif operation == 0xBF:
            registers[to] = registers[source] if source != 10 else 512
        elif operation == 0x61:
            assert registers[source] == -1
            registers[to] = len(packet)
        elif operation == 0x07:
            registers[to] += value
        elif operation == 0x6B:
            struct.pack_into(">H", stack, 512 + offset, registers[source])
        elif (
            operation == 0x05
            or (operation == 0xC5 and registers[to] < 0)
            or (operation == 0xB5 and registers[to] <= value)
        ):
            at += offset
        elif operation == 0x85:
            calls.append((value, *registers[2:5]))
            assert registers[1] == -1
            if value == 50:
                packet[14:14] = bytes(registers[2])
                registers[1] = registers[2] = 0  # a call spoils them
            else:
                assert value == 9
                start, size = registers[3], registers[4]
                packet[registers[2] : registers[2] + size] = stack[start : start + size]
            registers[0] = -22 if value == refused else 0
    assert calls[0] == (50, 44, 1, 12)
    if refused:
        assert registers[0] == 2  # TC_ACT_SHOT
        assert calls[-1][0] == refused
        return
    assert packet[14:58] == header[:4] + (1004).to_bytes(2, "big") + header[6:]
    assert len(packet) == 1014 + 44
    assert registers[0] == 0


def test_scripts_are_shell(tmp_path):
    """Each kind of layer, in scripts that bash reads."""
    text = "\n".join(f"f{i}() {{\n{script(stack, RULES)}\n}}" for i, stack in enumerate(MANY[:60]))
    path = tmp_path / "scripts.sh"
    path.write_text(text)
    subprocess.run(["bash", "-n", path], check=True)


def test_scripts_count_the_segments_that_are_sent_again(tmp_path):
    (program,) = re.findall(
        r"^resent\(\) {\n.*?awk '(.*?)' /proc", script(SMALLEST, RULES), re.S | re.M
    )
    snmp = tmp_path / "snmp"
    snmp.write_text(
        "Ip: A B\nIp: 1 2\nTcp: InSegs RetransSegs InErrs\nTcp: 3 42 5\nUdp: C\nUdp: 6\n"
    )
    done = subprocess.run(["awk", program, snmp], capture_output=True, text=True, check=True)
    assert done.stdout == "42\n"


# --- what is sent, and how it comes ---------------------------------------------------------------


def test_what_an_offload_changes_is_undone_before_the_next():
    undone = {f"{feature} off" for feature in RESTORED.removesuffix(" on").split(" on ")}
    for words in OFFLOADS.values():
        assert {f"{feature} off" for feature in words.split()[::2]} <= undone


def test_a_client_that_cuts_and_a_director_that_merges():
    merged = replace(SMALLEST, arrival="gro list")
    assert bench.with_segmentation("c0", merged) == "gso on tso off"
    assert bench.with_segmentation("d0", merged).endswith("gro on")
    assert ("director", "ethtool -K d0 rx-gro-list on") in way(merged, RULES).lines
    assert "on director ethtool -K d0 rx-gro-list on" in script(merged, RULES)
    assert contains(merged, SMALLEST)
    assert not contains(SMALLEST, merged)


@pytest.mark.parametrize("traffic", TRAFFICS)
def test_scripts_send_each_traffic(tmp_path, traffic):
    text = script(replace(SMALLEST, traffic=traffic), RULES)
    (peer,) = re.findall(r"^cat >peer.py <<'PYTHON'\n(.*?)^PYTHON", text, re.S | re.M)
    compile(peer, "peer.py", "exec")
    assert f'protocol = ("{way(SMALLEST, RULES).target}", 5000), {PROTOCOLS.get(traffic, 0)}' in (
        peer.replace("listens, ", "")
    )
    (tmp_path / "s.sh").write_text(text)
    subprocess.run(["bash", "-n", tmp_path / "s.sh"], check=True)


def test_a_masqueraded_service_is_where_the_layer_ends():
    stack = Stack((), (Layer("vlan", 4, 6), Layer("ipvs-masq", 6, 6)), 6)
    there = way(stack, RULES)
    assert there.listens == "fd0a:1::2"
    assert there.target == "fd0a:2::2"
    assert f'listens, protocol = ("{there.listens}", 5000), 0' in script(stack, RULES)


@pytest.mark.parametrize("kind", ["pppoe", "tap"])
def test_scripts_keep_programs_of_our_own_running(kind):
    text = script(Stack((), (Layer(kind, 4, 4),), 4), RULES)
    word = {"pppoe": "pppoe", "tap": "relay"}[kind]
    assert f"cat >{word}.py <<'PYTHON'" in text
    assert re.search(rf"^on director python3 {word}.py t1 up0.* &$", text, re.M)
    # What comes next needs the device.
    assert "ip -n director link show t1" in text


@pytest.mark.parametrize(("outer", "local"), [(4, "192.168.2.1"), (6, "fd02::1")])
def test_scripts_hold_a_socket_for_esp_in_udp_and_wait_for_it(outer, local):
    text = script(Stack((), (Layer("esp-udp", outer, outer),), outer), RULES)
    assert "cat >espinudp.py <<'PYTHON'" in text
    assert f"on director python3 espinudp.py {local} 6001 &" in text.splitlines()
    assert "ip netns exec director ss -Huln sport = :6001 | grep -q . && break" in text


class Measured(bench.Bench):
    """A stack that is not built; some of its offloads are complained of."""

    def __init__(self, stack: Stack, bad: str = "", deaf: str = "") -> None:
        self.stack, self._wire, self.bad, self.deaf = stack, Path("none"), bad, deaf
        self._seconds = 2.5
        self.sent: list[tuple[str, bool]] = []
        self.switched: list[str] = []
        self._switches = {"director": self}

    def set(self, device: str, words: str) -> None:
        assert device == "up0"
        self.switched.append(words)

    def without(self):
        return self._run(1, segmented=False)

    def _captured(self):
        return nullcontext()

    def _run(self, seconds, *, segmented):  # noqa: ARG002
        self.sent.append((self.stack.offload, segmented))
        if self.stack.offload == self.deaf and not segmented:
            return DEAF
        return DROPS if segmented and self.stack.offload == self.bad else WHOLE


def test_other_offloads_are_measured_until_one_is_complained_of(monkeypatch, tmp_path):
    """A stack is built once and has one control; what is found names its offload, with its own."""
    monkeypatch.setattr(bench, "TRACEFS", tmp_path)
    (tmp_path / "trace").write_text("a trace")
    one = Measured(SMALLEST, bad="tunnel features off")
    found = one.measured(tuple(OFFLOADS))
    assert found["offload"] == "tunnel features off"
    assert one.sent == [
        ("tso off", False),
        ("tso off", True),
        ("tx off", True),
        ("tunnel features off", True),
        ("tunnel features off", False),
        ("tunnel features off", True),
    ]
    assert one.switched == [
        *(RESTORED, OFFLOADS["tx off"]),
        *(RESTORED, OFFLOADS["tunnel features off"]),
    ]
    assert len(found["controls"]) == len(found["runs"]) == 2


def test_an_offload_whose_own_control_carries_nothing_is_not_judged(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "TRACEFS", tmp_path)
    (tmp_path / "trace").write_text("")
    one = Measured(SMALLEST, bad="tx off", deaf="tx off")
    found = one.measured(tuple(OFFLOADS))
    assert not judge.suspicious(found)
    assert judge.outcome(found) == "clean"
    assert one.stack.offload == list(OFFLOADS)[-1]


def test_what_carries_nothing_is_sent_once():
    one = Measured(SMALLEST, deaf="tso off")
    assert judge.outcome(one.measured(tuple(OFFLOADS))) == "illegal"
    assert one.sent == [("tso off", False)]


def test_features_are_bits_by_their_names():
    asked: list[bytes] = []

    class Told(features.Switches):
        def __init__(self) -> None:
            names = [f"feature-{at}" for at in range(33)]
            names[1], names[32] = "tx-tcp-segmentation", "tx-tcp6-segmentation"
            names[3] = "rx-gro"
            self._known = {name: bit for bit, name in enumerate(names)}

        def _ask(self, device: str, words: bytes) -> bytes:
            assert device == "up0"
            asked.append(words)
            return words

    Told().set("up0", "tso off gro on nothing on")
    assert struct.unpack("=6I", asked[0]) == (0x3B, 2, 1 << 1 | 1 << 3, 1 << 3, 1, 0)


_SWITCHED = """
import subprocess, sys
from pathlib import Path
from gso.kernel.guest.features import Switches
from gso.kernel.guest.netns import Kept, devices, isolate

isolate(["one", "two"])
subprocess.run("ip -n one link add v1 type veth peer name v2 netns two".split(), check=True)
switches = Switches("one")
counted = devices(Kept("one", "dev").read())
print(sorted(switches.devices), sorted(Switches("two").devices), sorted(counted))
def state():
    command = "ip netns exec one ethtool -k v1".split()
    shown = subprocess.run(command, capture_output=True, text=True)
    return {line.split(":")[0].strip(): line.split()[1] for line in shown.stdout.splitlines()[1:]}
for words in ("tso off tx-gre-segmentation off no-such off", "gro on", "tso on gro off"):
    before = state()
    switches.set("v1", words)
    print(sorted({name for name, value in state().items() if value != before[name]}))
switches.allow_segments("v1", 7)
shown = subprocess.run("ip -n one -d link show v1".split(), capture_output=True, text=True).stdout
print("gso_max_segs 7" in shown)
"""


def test_features_are_switched_as_ethtool_does_in_namespaces_that_nobody_else_sees():
    isolated = ["unshare", "--mount", "--net", "--map-root-user", "--propagation", "private"]
    probe = "mkdir -p /run/netns && mount -t tmpfs t /run/netns && ip link add v type veth"
    if subprocess.run([*isolated, "sh", "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces, or no veth, for this user")
    done = subprocess.run(
        [*isolated, sys.executable, "-c", _SWITCHED], capture_output=True, text=True, check=True
    )
    devices, off, gro_on, on, segments = done.stdout.splitlines()
    assert devices == "['lo', 'v1'] ['lo', 'v2'] ['lo', 'v1']"
    switched = set(ast.literal_eval(off))
    tso = {"tcp-segmentation-offload", "tx-tcp-segmentation", "tx-tcp6-segmentation"}
    assert tso | {"tx-gre-segmentation"} <= switched
    assert gro_on == "['generic-receive-offload']"
    changed = switched - {"tx-gre-segmentation"} | {"generic-receive-offload"}
    assert set(ast.literal_eval(on)) == changed
    assert segments == "True"
    assert not Path("/run/netns/one").exists()


def test_a_measurement_that_takes_long_gives_signs_of_life_and_ends(monkeypatch):
    monkeypatch.setattr(guest, "_SIGN_SECONDS", 0.05)
    signs: list[int] = []
    given, told = os.pipe()

    def sign():
        signs.append(1)
        os.write(told, b".")

    def slow():
        for _ in range(3):  # it ends when there were so many, however busy the host is
            os.read(given, 1)
        return CLEAN

    assert guest._in_child(slow, sign) == CLEAN
    assert len(signs) > 2
    monkeypatch.setattr(guest, "_STACK_SECONDS", 0.2)
    assert "did not end" in guest._in_child(lambda: time.sleep(60), lambda: None)["refused"]
    os.close(given)
    os.close(told)
