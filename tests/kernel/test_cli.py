"""The command where it boots nothing."""

import fcntl
import json
import signal
import subprocess
import sys
from importlib import metadata

import pytest
from gso.kernel import cli
from gso.kernel.paths import patches_folder
from gso.kernel.scenarios import SCENARIOS


def test_list(gso_kernel):
    done = gso_kernel("list")
    assert done.status == 0
    for scenario in SCENARIOS:
        assert scenario.name in done.out
    names = {path.name for path in patches_folder().glob("*.patch")}
    assert names == set(json.loads(gso_kernel("list", "--json").out)["patches"])
    assert len(names) >= 2


def test_doctor_reports_as_json(gso_kernel):
    done = gso_kernel("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(done.out)}
    assert findings["virtme-ng"]["present"]
    missing = [f for f in findings.values() if f["required"] and not f["present"]]
    assert done.status == bool(missing)


@pytest.mark.parametrize(
    ("output", "status", "message"),
    [(">/dev/full", 125, "No space left on device"), (">&-", 2, "standard output is closed")],
)
@pytest.mark.parametrize("words", [["list"], ["--help"], ["verify", "--help"], ["cache"]])
def test_what_cannot_be_written_is_an_error(words, output, status, message):
    """A status of 0 or 1 would say something of a patch."""
    command = [sys.executable, "-m", "gso.kernel", *words]
    shell = ["sh", "-c", f'exec "$0" "$@" {output}']
    done = subprocess.run([*shell, *command], stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == status
    assert message in done.stderr
    assert "internal error" not in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("no diff\n", "not a unified diff"), (None, "No such file")],
)
def test_what_is_no_patch_is_wrong_usage(gso_kernel, tmp_path, content, message):
    path = tmp_path / "x.patch"
    if content is not None:
        path.write_text(content)
    done = gso_kernel("verify", path)
    assert done.status == 2
    assert message in done.err
    assert not (tmp_path / "results").exists()


def test_a_directory_is_no_patch(gso_kernel, tmp_path):
    done = gso_kernel("verify", tmp_path)
    assert done.status == 2
    assert "is a directory" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "x.patch", "--timeout", "0"],
        ["verify", "x.patch", "--timeout", "nan"],
        ["verify", "x.patch", "--timeout", "soon"],
        ["nonsense"],
        [],
    ],
)
def test_wrong_usage_is_explained(gso_kernel, arguments):
    done = gso_kernel(*arguments) if arguments else gso_kernel("--nonsense")
    assert done.status == 2
    assert "usage:" in done.err


@pytest.mark.parametrize("option", ["--json", "--results"])
def test_places_that_cannot_be_written_are_found_at_once(gso_kernel, tmp_path, option):
    (tmp_path / "file").touch()
    patch = patches_folder() / "ipvs-gue-inner-mac-header.patch"
    done = gso_kernel("verify", patch, option, tmp_path / "file" / "x")
    assert done.status == 2
    assert "cannot" in done.err


def test_a_tree_that_is_no_kernel(gso_kernel, tmp_path):
    patch = patches_folder() / "ipvs-gue-inner-mac-header.patch"
    done = gso_kernel("verify", patch, "--source", tmp_path)
    assert done.status == 2
    assert "not a kernel tree" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no PATCH given"),
        (["--range", "a..b"], "need one --source"),
        (["x.patch", "--commit", "HEAD"], "need one --source"),
        (["x.patch", "--image", "a", "b"], "cannot be applied to --image"),
        (["--image", "a", "b"], "not a kernel image"),
        (["x.patch", "--modules", "m"], "belong to --image"),
        (["--before", "6.12"], "--before and --after belong together"),
        (["x.patch", "--before", "6.1", "--after", "6.12"], "cannot be applied to --image or"),
        (["--source", ".", "--range", "a..b"], "not a git repository"),
        (["x.patch", "--source", ".", "--config", "nonsense"], "not a kernel tree"),
    ],
)
def test_kernels_that_cannot_be_meant(gso_kernel, tmp_path, arguments, message):
    (tmp_path / "x.patch").write_text("--- a/net/x.c\n+++ b/net/x.c\n@@ -1 +1 @@\n-a\n+b\n")
    done = gso_kernel("verify", *arguments)
    assert (done.status, message in done.err) == (2, True), done.err


def test_a_dry_run_says_what_would_happen_and_does_nothing(gso_kernel, tmp_path):
    patch = patches_folder() / "ipvs-gue-inner-mac-header.patch"
    done = gso_kernel("verify", patch, "--dry-run")
    if done.status == 125:
        pytest.skip("apt offers no kernel here")
    assert done.status == 0, done.err
    assert "2 boots" in done.out
    assert "qemu-system-x86_64" in done.out
    assert not (tmp_path / "results").exists()


def test_the_cache_is_shown_and_cleared(gso_kernel, tmp_path, monkeypatch):
    monkeypatch.setenv("PYGSO_CACHE", str(tmp_path / "cache"))
    built = tmp_path / "cache" / "modules" / "0123"
    built.mkdir(parents=True)
    (built / "ip_vs.ko").write_bytes(bytes(100_000))
    assert str(built) in gso_kernel("cache").out
    assert str(built) not in gso_kernel("cache", "clear", "--older-than", "1").out
    assert built.exists()
    with built.with_name("0123.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "in use" in gso_kernel("cache", "clear").err
    assert built.exists()
    assert "deleted" in gso_kernel("cache", "clear").out
    assert not built.exists()


def test_version(gso_kernel):
    done = gso_kernel("--version")
    assert done.status == 0
    assert done.out.strip() == f"gso-kernel {metadata.version('pygso')}"


WAITING = """
import sys, tempfile, time
from gso.kernel import cli
def wait(_):
    with tempfile.TemporaryDirectory(dir=sys.argv[1]):
        print("begun", flush=True)
        time.sleep(600)
cli._run = wait
sys.exit(cli.main([]))
"""


@pytest.mark.parametrize("sign", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_that_ends_the_command_leaves_nothing(tmp_path, sign):
    before = signal.signal(sign, signal.SIG_DFL)  # nohup hands down that it is ignored
    try:
        with subprocess.Popen(
            [sys.executable, "-c", WAITING, tmp_path], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            assert process.stdout.readline() == "begun\n"
            assert list(tmp_path.iterdir())
            process.send_signal(sign)
            assert process.wait(60) == 130
    finally:
        signal.signal(sign, before)
    assert not list(tmp_path.iterdir())


def test_what_nohup_ignores_stays_ignored(monkeypatch):
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    monkeypatch.setattr(cli, "_run", lambda _: 0)
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert cli.main([]) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
