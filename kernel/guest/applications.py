"""Real applications behind IPVS: nginx on the worker, h2load on the client, and the clock.

::

    client  c0 ------- d0  director  up0 ------- dn0  worker
            c1 ---------------------------------- w1

The topology has namespaces of its own and no instruments on the path: what is measured here is
what a user sees. ``up0`` refuses tunnel segmentation, so the director's kernel has to do it;
``c0`` sends segments, which GRO on ``d0`` merges again. Replies go straight to the client.
"""

from __future__ import annotations

import faulthandler
import hashlib
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Protocol

from .netns import inside, ip_batch, run
from .traffic import pattern

MEASURED = "applications.json"
"""The file of all that was measured."""

_CLIENT, _DIRECTOR, _WORKER = "app-client", "app-director", "app-worker"
_MODULES = ("veth", "ip_vs", "ip_vs_mh", "fou", "fou6", "ipip", "ip6_tunnel")
_EGRESS = "up0"
_VIP = {4: "192.0.2.80", 6: "2001:db8:f::80"}
_ADDRESS = {
    "c0": {4: "198.51.100.1", 6: "2001:db8:1::1"},
    "d0": {4: "198.51.100.2", 6: "2001:db8:1::2"},
    "up0": {4: "203.0.113.2", 6: "2001:db8:2::2"},
    "dn0": {4: "203.0.113.3", 6: "2001:db8:2::3"},
    "w1": {4: "100.64.0.3", 6: "2001:db8:3::3"},
    "c1": {4: "100.64.0.1", 6: "2001:db8:3::1"},
}
_PREFIX = {4: 24, 6: 64}
_HOST = {4: 32, 6: 128}
_TUNNEL_MTU = 1600
_GUE_PORT = 5580
_PORTS = {"http1": 8080, "http2": 8081}
_SEGMENTER = "skb_udp_tunnel_segment"
_SAMPLE_SECONDS = 0.1
_START_SECONDS = 60
_STUCK_SECONDS = 90
_USUAL_SECONDS = 0.5  # for curl with one small request, under emulation with nothing else to do

# The counters of a TCP sender, by the names of /proc/net/snmp and /proc/net/netstat.
_TCP_COUNTERS = {"retransmits": ("snmp", "Tcp", "RetransSegs")}
_TCP_COUNTERS["timeouts"] = ("netstat", "TcpExt", "TCPTimeouts")

_NGINX = """\
daemon off;
user root;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 512; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  client_max_body_size 64m;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  server {{
    listen {v4}:{http1};
    listen [{v6}]:{http1};
    listen {v4}:{http2} http2;
    listen [{v6}]:{http2} http2;
    root {home}/www;
    location / {{ dav_methods PUT; }}
  }}
}}
"""


class Progress(Protocol):
    """Tells the host how far the run is."""

    def __call__(self, **event: Any) -> None:
        """Take one event."""


def measure(workloads: list[dict[str, Any]], progress: Progress) -> dict[str, Any]:
    """Run every workload; return what became of each request, and the drops over time.

    A step that takes longer than the workload's ``limit`` is ended, and what was in progress is
    counted: that, too, is a result. On a machine slower than an idle one under emulation, limits
    are longer by the same factor, ``slowness``.
    """
    _watch()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        _topology()
        _files(home, {step["size"] for work in workloads for step in work["steps"]})
        with _Nginx(home) as nginx, _Sampler() as sampler:
            slowness = _slowness()
            done = []
            for work in workloads:
                steps = []
                for step in work["steps"]:
                    _watch()
                    limit = work["limit"] * slowness
                    steps.append(_step(work, step, limit, home, sampler))
                    progress(stage="application", workload=work["name"], size=step["size"])
                    if steps[-1]["unfinished"]:
                        # The client's kernel goes on to send what was cut off, into the next
                        # step's figures, until its peer is gone.
                        nginx.restart()
                done.append({"name": work["name"], "steps": steps})
    faulthandler.cancel_dump_traceback_later()
    return {"workloads": done, "drops": sampler.samples, "slowness": slowness}


def _watch() -> None:
    """Have the log say where this program is, should the next step not end."""
    faulthandler.dump_traceback_later(_STUCK_SECONDS, repeat=True)


def _slowness() -> float:
    """Return how much longer than usual a program with one small request takes now, 1 to 10."""
    begun = time.monotonic()
    for _ in range(2):
        _answers(_url("http1", 4, "100.bin"))
    return round(min(max((time.monotonic() - begun) / 2 / _USUAL_SECONDS, 1.0), 10.0), 2)


def _topology() -> None:
    # A small kernel has them built in and no list to find them in: the commands below tell.
    subprocess.run(["modprobe", "--all", "--quiet", *_MODULES], check=False)
    run(["ip", "-batch", "-"], "".join(f"netns add {n}\n" for n in (_CLIENT, _DIRECTOR, _WORKER)))
    for name in (_CLIENT, _DIRECTOR, _WORKER):
        with inside(name):
            for key, value in (
                ("ipv4/conf/all/rp_filter", "0"),
                ("ipv4/conf/default/rp_filter", "0"),
                ("ipv4/ip_forward", "1"),
                ("ipv6/conf/all/forwarding", "1"),
                ("ipv6/conf/default/accept_dad", "0"),
            ):
                Path("/proc/sys/net", key).write_text(value)
    ip_batch(_DIRECTOR, [f"link add d0 type veth peer name c0 netns {_CLIENT}"])
    ends = f"link add up0 mtu {_TUNNEL_MTU} type veth peer name dn0 mtu {_TUNNEL_MTU}"
    ip_batch(_DIRECTOR, [f"{ends} netns {_WORKER}"])
    ip_batch(_WORKER, [f"link add w1 type veth peer name c1 netns {_CLIENT}"])
    ip_batch(_CLIENT, [*_up("c0", "c1"), *_routes(_VIP, _ADDRESS["d0"], "c0")])
    ip_batch(_DIRECTOR, [*_up("d0", "up0"), *_own_vip()])
    to_client = _routes(_ADDRESS["c0"], _ADDRESS["c1"], "w1")
    ip_batch(_WORKER, [*_up("dn0", "w1"), *_own_vip(), *to_client])
    _tunnel()
    offloads = ["tx-udp_tnl-segmentation", "off", "tx-udp_tnl-csum-segmentation", "off"]
    for namespace, device, *settings in (
        (_CLIENT, "c0", "tso", "off"),
        (_DIRECTOR, "d0", "gro", "on"),
        (_DIRECTOR, _EGRESS, *offloads),
    ):
        run(["ip", "netns", "exec", namespace, "ethtool", "-K", device, *settings])
    with inside(_DIRECTOR):
        _wait_for_merges("d0")


def _wait_for_merges(device: str) -> None:
    """Let GRO wait a moment for the next segment: emulation is slower than any real wire."""
    # sysfs shows the network devices of the namespace that it was mounted in.
    command = f"echo 200000 > /sys/class/net/{device}/gro_flush_timeout"
    run(["ip", "netns", "exec", _DIRECTOR, "sh", "-c", command])


def _up(*devices: str) -> list[str]:
    lines = [f"link set {device} up" for device in ("lo", *devices)]
    for device in devices:
        for family, address in _ADDRESS[device].items():
            nodad = " nodad" * (family == 6)
            lines.append(f"addr add {address}/{_PREFIX[family]} dev {device}{nodad}")
    return lines


def _own_vip() -> list[str]:
    return [f"addr add {address}/{_HOST[family]} dev lo" for family, address in _VIP.items()]


def _routes(to: dict[int, str], via: dict[int, str], device: str) -> list[str]:
    return [f"route add {to[f]}/{_HOST[f]} via {via[f]} dev {device}" for f in (4, 6)]


def _tunnel() -> None:
    """Make the IPVS services with GUE to the worker, and the worker's end of the tunnels."""
    rules = []
    for family, vip in _VIP.items():
        server = _ADDRESS["dn0"][family]
        for port in _PORTS.values():
            rules.append(f"-A -t {_bracketed(vip)}:{port} -s mh")
            forward = f"-i --tun-type gue --tun-port {_GUE_PORT} --tun-nocsum"
            target = f"-r {_bracketed(server)}:{port}"
            rules.append(f"-a -t {_bracketed(vip)}:{port} {target} {forward}")
        fou = ["fou", "add", "port", str(_GUE_PORT), "gue"]
        run(["ip", f"-{family}", "-n", _WORKER, *fou])
    run(["ip", "netns", "exec", _DIRECTOR, "ipvsadm", "-R"], "\n".join(rules) + "\n")
    run(["ip", "-6", "-n", _WORKER, "tunnel", "change", "ip6tnl0", "mode", "any"])
    ip_batch(_WORKER, [f"link set {device} up" for device in ("tunl0", "ip6tnl0")])


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _files(home: Path, sizes: set[int]) -> None:
    """Write what is sent: one file for each size, to be uploaded or fetched."""
    (home / "www").mkdir()
    for size in sizes:
        (home / "www" / f"{size}.bin").write_bytes(pattern(size, str(size).encode()))


class _Nginx:
    """The service on the worker, for both protocols and IP versions."""

    def __init__(self, home: Path) -> None:
        config = home / "nginx.conf"
        config.write_text(_NGINX.format(home=home, v4=_VIP[4], v6=_VIP[6], **_PORTS))
        # -e: before it has read its configuration nginx would write into the host's /var/log.
        self._command = ["nginx", "-e", "stderr", "-p", str(home), "-c", str(config)]

    def __enter__(self) -> _Nginx:
        with inside(_WORKER):
            self._process = subprocess.Popen(self._command)
        self._wait_for_answers()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    def restart(self) -> None:
        """End all connections at once, and serve again."""
        self.__exit__()
        self.__enter__()

    def _wait_for_answers(self) -> None:
        """Send requests that need no segmentation until every listener answers."""
        deadline = time.monotonic() + _START_SECONDS
        for url in [_url(p, family, "100.bin") for p in _PORTS for family in _VIP]:
            while not _answers(url):
                if time.monotonic() > deadline:
                    said = f"no answer from {url} within {_START_SECONDS} s of nginx's start"
                    raise TimeoutError(said)
                time.sleep(0.05)


def _answers(url: str) -> bool:
    version = "--http2-prior-knowledge" if f":{_PORTS['http2']}/" in url else "--http1.1"
    with inside(_CLIENT):
        command = ["curl", "-sf", version, "--max-time", "5", "-o", "/dev/null", url]
        return subprocess.run(command, check=False).returncode == 0


def _url(protocol: str, family: int, name: str) -> str:
    return f"http://{_bracketed(_VIP[family])}:{_PORTS[protocol]}/{name}"


class _Sampler:
    """Reads the egress device's drops all the time, ten times a second."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, int]] = []
        with inside(_DIRECTOR):
            # Opened here, it goes on to show this namespace's devices.
            self._file = os.open("/proc/thread-self/net/dev", os.O_RDONLY)
        self._before = 0
        self._before = self.drops()
        self._begun = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._take()
        os.close(self._file)

    def _run(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self._take()

    def _take(self) -> None:
        self.samples.append((self.now(), self.drops()))

    def now(self) -> float:
        """Return the seconds since the first sample."""
        return round(time.monotonic() - self._begun, 3)

    def drops(self) -> int:
        """Return how many packets the director's egress has dropped since the start."""
        for line in os.pread(self._file, 1 << 16, 0).decode().splitlines():
            device, _, columns = line.partition(":")
            if device.strip() == _EGRESS:
                return int(columns.split()[11]) - self._before
        raise LookupError(f"{_EGRESS} is not in /proc/net/dev")


def _step(
    work: dict[str, Any], step: dict[str, Any], limit: float, home: Path, sampler: _Sampler
) -> dict[str, Any]:
    """Send one size's requests, and say what became of each."""
    name = f"{step['size']}.bin"
    sent = home / "www" / name
    log = home / "requests.log"
    log.unlink(missing_ok=True)
    command = [
        *("h2load", f"--requests={step['requests']}", f"--clients={work['connections']}"),
        *("--threads=1", "--max-concurrent-streams=1", f"--log-file={log}"),
        *(["--h1"] if work["protocol"] == "http1" else []),
    ]
    target = name
    if work["direction"] == "upload":
        target = f"up-{work['name']}-{name}"
        command += [f"--data={sent}", "--header=:method: PUT"]
    command.append(_url(work["protocol"], work["family"], target))
    begun, drops, tcp, segmented = sampler.now(), sampler.drops(), _tcp(), _segmenter_hits()
    with inside(_CLIENT):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        # Under emulation the program needs longer to start than small requests take.
        while not log.exists() and process.poll() is None:
            time.sleep(0.01)
        started = time.time()
        _, said = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
    stopped, after = time.time(), _tcp()
    rows = _rows(log)
    finished = [duration for _, status, duration in rows if 200 <= status < 300]
    remaining = step["requests"] - len(rows)
    unfinished = min(remaining, work["connections"])
    # Each connection sends its next request when the last is answered, so those in progress
    # have waited at least since the last answer of all.
    last = max((begin + duration / 1e3 for begin, _, duration in rows), default=started)
    return {
        "size": step["size"],
        "requests": step["requests"],
        "limit": limit,
        "milliseconds": finished,
        "failed": len(rows) - len(finished),
        "unfinished": unfinished,
        "waited": round((stopped - last) * 1e3, 3) if unfinished else None,
        "not_started": remaining - unfinished,
        "intact": _intact(sent, home / "www" / target) if finished else None,
        "drops": sampler.drops() - drops,
        **{key: after[key] - tcp[key] for key in tcp},
        "segmented": _segmenter_hits() - segmented,
        "begun": begun,
        "ended": sampler.now(),
        "said": said.decode(errors="replace").strip(),
    }


def _rows(log: Path) -> list[tuple[float, int, float]]:
    """Return begin (s since 1970), status and milliseconds of each request in h2load's log."""
    # A row that the end of the process cut has no line end.
    complete = log.read_text().split("\n")[:-1] if log.exists() else []
    found = []
    for row in complete:
        begin, status, duration = (int(column) for column in row.split("\t")[:3])
        found.append((begin / 1e6, status, duration / 1e3))
    return found


def _intact(sent: Path, arrived: Path) -> bool:
    """Compare the last upload with what was sent."""
    return sent == arrived or _hash(sent) == _hash(arrived)


def _hash(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def _tcp() -> dict[str, int]:
    found = {}
    with inside(_CLIENT):
        for name, (file, group, column) in _TCP_COUNTERS.items():
            lines = Path("/proc/thread-self/net", file).read_text().splitlines()
            names, values = (line.split() for line in lines if line.startswith(f"{group}:"))
            found[name] = int(values[names.index(column)])
    return found


def _segmenter_hits() -> int:
    """Return how often the probe on the tunnel segmenter was hit, filtered out or not."""
    profile = Path("/sys/kernel/tracing/kprobe_profile").read_text()
    hits = dict(line.split()[:2] for line in profile.splitlines())
    return int(hits.get(_SEGMENTER, 0))
