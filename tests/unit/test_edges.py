"""The edges of the command: names, links, closed streams, signals, padding, what is replaced."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import gso
from gso.cli import main
from gso.commands.files import write_text
from gso.compressed import Expander
from handmade import segment

GSO = [sys.executable, "-c", "import sys; from gso.cli import main; sys.exit(main())"]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "in.pcap"
    gso.write_capture(path, gso.Frames.from_list([segment(n) for n in range(3)]))
    return path


def run(*arguments: str | Path | bytes, **options: object) -> subprocess.CompletedProcess[str]:
    command = [*GSO, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_no_drawing_overwrites_an_input(capture, tmp_path, capsys):
    before = capture.read_bytes()
    same = tmp_path / "same"
    same.hardlink_to(capture)
    (tmp_path / "link").symlink_to(capture)
    for name in ("in.pcap", "same", "link"):
        assert main(["explain", str(capture), "--svg", str(tmp_path / name)]) == 2
        assert main(["diagnose", str(capture), "--html", str(tmp_path / name)]) == 2
        assert capsys.readouterr().err.count("would overwrite it") == 2
        assert capture.read_bytes() == before


def test_a_drawing_is_whole_or_not_there(capture, tmp_path):
    target = tmp_path / "folder" / "drawing.svg"
    assert main(["explain", str(capture), "--svg", str(target)]) == 2
    target.parent.mkdir()
    assert main(["explain", str(capture), "--svg", str(target)]) == 0
    assert target.read_text().rstrip().endswith("</svg>")
    assert [path.name for path in target.parent.iterdir()] == ["drawing.svg"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_what_is_replaced_gives_its_mode_and_owner(capture, tmp_path, mode):
    out = tmp_path / "out.pcap"
    out.touch()
    out.chmod(mode)
    if not os.geteuid():
        os.chown(out, 1234, 5678)
    owner = out.stat().st_uid, out.stat().st_gid
    assert main(["segment", str(capture), str(out), "--gso-size", "1448"]) == 0
    assert stat.S_IMODE(out.stat().st_mode) == mode
    assert (out.stat().st_uid, out.stat().st_gid) == owner


def test_standard_output_by_other_names(capture, tmp_path):
    """No file can be made beside a pipe, and only packets may be in what is written."""
    command = [*GSO, "segment", capture, "--gso-size", "1448"]
    outputs = [
        subprocess.run([*command, name], check=True, capture_output=True).stdout
        for name in ("-", "/dev/stdout", "/dev/fd/1")
    ]
    assert gso.read_capture(io.BytesIO(outputs[0]))
    assert outputs == outputs[:1] * 3
    file = tmp_path / "out.pcap"
    with file.open("wb") as sink:
        subprocess.run([*command, "/dev/stdout"], check=True, stdout=sink, stderr=sink)
    assert file.read_bytes() == outputs[0]


def test_loops_of_links_are_refused(capture, tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    for arguments in (["validate", loop], ["segment", capture, loop], ["diagnose", loop]):
        done = run(*arguments)
        assert done.returncode == 2
        assert "loop" in done.stderr + done.stdout
        assert "internal error" not in done.stderr
    assert loop.is_symlink()


def test_names_that_are_no_utf_8(capture, tmp_path):
    name = os.fsencode(tmp_path) + b"/a\xff\x1b.pcap"
    Path(os.fsdecode(name)).write_bytes(capture.read_bytes())
    done = run("validate", name)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert run("segment", name, name + b".out", "--gso-size", "1448").returncode == 0
    assert Path(os.fsdecode(name + b".out")).read_bytes() == capture.read_bytes()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(capture, tmp_path, closed):
    script = f'exec "$0" "$@" {closed}'
    out = tmp_path / "out.pcap"
    segment = ["segment", str(capture), str(out), "--gso-size", "1448"]
    done = subprocess.run(
        ["sh", "-c", script, *GSO, *segment], capture_output=True, text=True, check=False
    )
    assert done.returncode == (2 if ">&-" in closed.replace("2>&-", "") else 0)
    assert out.exists() == (done.returncode == 0)
    assert "internal error" not in done.stderr


@pytest.mark.parametrize("command", ["validate", "diagnose", "info", "explain"])
def test_a_closed_standard_input_is_named(command):
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" "$@" <&-', *GSO, command, "-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "is to come from standard input, but that is closed" in done.stderr


@pytest.mark.parametrize("words", ["--help", "segment --help", "--version", "diagnose --formats"])
def test_what_cannot_be_written_is_an_error(words):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*GSO, *words.split()], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "gso: input or output: No space left on device\n"


def test_errors_name_the_file_that_was_given(capture, tmp_path, capsys):
    nowhere, folder = str(tmp_path / "nowhere" / "out.pcap"), str(tmp_path)
    for arguments, said in (
        (["segment", str(capture), nowhere], f"{nowhere}: No such file or directory"),
        (["segment", str(capture), ""], "the name of the file to write is empty"),
        (["explain", str(capture), "--svg", ""], "the name of the file to write is empty"),
        (["segment", "", str(tmp_path / "out.pcap")], "'': No such file or directory"),
        (["diagnose", folder], f"{folder}: Is a directory"),
    ):
        assert main(arguments) == 2
        assert capsys.readouterr().err == f"gso: {said}\n"


@pytest.fixture(params=[signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def number(request):
    """A signal that is not ignored: nohup and background jobs of shells hand that down."""
    before = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_leaves_no_half_file(capture, tmp_path, number):
    folder = tmp_path / "out"
    folder.mkdir()
    with subprocess.Popen(
        [*GSO, "segment", "-", folder / "out.pcap", "--gso-size", "1448"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin
        process.stdin.write(capture.read_bytes())
        process.stdin.flush()
        while not list(folder.iterdir()):
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(60) == (128 + number)
    assert list(folder.iterdir()) == []


def ended_at(moment: int, name: Path) -> bool:
    """Write a file, and end by an exit before one of the steps of Python; say whether it came."""
    left = [moment]

    def step(frame, event, _):
        frame.f_trace_opcodes = True
        if event == "opcode":
            left[0] -= 1
            if left[0] == 0:
                sys.exit(143)
        return step

    before = sys.gettrace()
    with suppress(SystemExit):
        try:
            sys.settrace(step)
            write_text(str(name), "whole")
        finally:
            sys.settrace(before)
    return left[0] <= 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # left open: the end
def test_an_exit_at_any_step_leaves_the_whole_file_or_none(tmp_path):
    """Python may call the handler of a signal between any two of its steps."""
    steps = 0
    while ended_at(steps + 1, tmp_path / "out.pcap"):
        steps += 1
        there = [path.name for path in tmp_path.iterdir()]
        assert there in ([], ["out.pcap"]), f"after step {steps}"
        for name in there:
            assert (tmp_path / name).read_text() == "whole"
            (tmp_path / name).unlink()
    assert steps > 300


@pytest.mark.parametrize("padding", [1, 4, 512, 100_000])
@pytest.mark.parametrize("module", [gzip, lzma])
def test_zeros_may_follow_what_is_compressed(capture, tmp_path, module, padding, capsys):
    if module is lzma:
        padding = -(-padding // 4) * 4
    packed = module.compress(capture.read_bytes()) + bytes(padding)
    path = tmp_path / "padded"
    path.write_bytes(packed)
    assert main(["validate", str(path)]) == 0
    assert "not read" not in "".join(capsys.readouterr())
    # More may follow the zeros, and what is no zero is not padding.
    (tmp_path / "twice").write_bytes(packed + module.compress(b"more"))
    with (tmp_path / "twice").open("rb") as file:
        kind = "gzip" if module is gzip else "xz"
        read = Expander(kind, b"", file).readall()
    assert read == capture.read_bytes() + b"more"
    path.write_bytes(packed + b"no zeros, and not compressed")
    assert main(["validate", str(path)]) == 2
