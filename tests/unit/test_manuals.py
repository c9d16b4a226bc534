"""The manual pages and completions say what the parsers know, and their readers take them."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess

import pytest

manuals = pytest.importorskip("manuals", reason="shtab is missing", exc_type=ImportError)

SHELLS = {"bash": "bash-completion", "zsh": "zsh", "fish": "fish"}
COMPLETE = """\
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_shtab_${1//-/_} 2>/dev/null; printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("manuals")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        manuals.main(str(folder), "1.2.3")
    return {str(p.relative_to(folder / "share")): p for p in folder.rglob("*") if p.is_file()}


def test_each_program_has_a_page_and_completions(written):
    wanted = {f"man/man1/{program}.1" for program in manuals.PROGRAMS}
    for place in manuals.COMPLETIONS.values():
        wanted |= {place.format(program) for program in manuals.PROGRAMS}
    assert set(written) == wanted
    assert {path.split("/")[0] for path in wanted} == {"man", *SHELLS.values()}


def test_they_name_every_command_and_option(written):
    for program, (module, _) in manuals.PROGRAMS.items():
        commands = manuals.subcommands(manuals.whole_parser(module))
        listed = {name: command for name, command in commands.items() if name != "bisect-step"}
        assert len(listed) >= 7
        page = written[f"man/man1/{program}.1"].read_text().replace("\\-", "-")
        scripts = [written[p.format(program)].read_text() for p in manuals.COMPLETIONS.values()]
        for name, command in listed.items():
            section = page.split(f"\n.SS {program} {name}\n")[1].split("\n.S")[0]
            for option in command._option_string_actions:
                assert option in section, (program, name, option)
                # fish writes "-l mtu" for --mtu
                assert all(option.lstrip("-") in script for script in scripts), (name, option)
        assert "bisect-step" not in page


def test_the_page_is_read_without_complaint(written):
    if not shutil.which("man"):
        pytest.skip("no man on this machine (Debian: man-db)")
    for program in ("gso", "gso-kernel"):
        page = written[f"man/man1/{program}.1"]
        shown = subprocess.run(
            ["man", "--warnings", "-l", page],
            env={"MANWIDTH": "80", "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stderr == ""
        assert "pygso 1.2.3" in shown.stdout
        assert f"{program} - " in " ".join(shown.stdout.split())
    # What shells would read is shown as it is typed.
    assert "  gso-kernel trace --unpatched -o pwru.log && gso diagnose pwru.log" in shown.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_reads_its_completions(shell, written):
    if not shutil.which(shell):
        pytest.skip(f"no {shell} on this machine (Debian: {shell})")
    scripts = [path for name, path in written.items() if name.startswith(SHELLS[shell])]
    assert len(scripts) == 2
    for script in scripts:
        subprocess.run([shell, "-n", script], check=True)


OFFERED = [
    ("gso seg", ["segment"]),
    ("gso segment --gso", ["--gso-size"]),
    ("gso watch --ne", ["--netns"]),
    ("gso-kernel co", ["compare", "conformance"]),
    ("gso-kernel verify --keep-vm un", ["unpatched"]),
]


@pytest.mark.parametrize(("line", "offered"), OFFERED)
@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_completes(shell, line, offered, written):
    if not shutil.which(shell):
        pytest.skip(f"no {shell} on this machine (Debian: {shell})")
    scripts = [path for name, path in written.items() if name.startswith(SHELLS[shell])]
    assert (
        sorted({"bash": in_bash, "zsh": in_zsh, "fish": in_fish}[shell](line, scripts)) == offered
    )


def in_bash(line, scripts):
    program, *words = line.split()
    (script,) = [path for path in scripts if path.name == program]
    command = ["bash", "-c", COMPLETE, "bash", script, program, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def in_fish(line, scripts):
    sources = "; ".join(f"source {path}" for path in scripts)
    command = ["fish", "--no-config", "-c", f"{sources}; complete -C '{line}'"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [offer.split("\t")[0] for offer in done.stdout.splitlines()]


def in_zsh(line, scripts):
    """zsh completes on a terminal only: it gets one, and is asked for a list (^T)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="dumb", COLUMNS="200", LC_ALL="C")
        os.execlp("zsh", "zsh", "-f", "-i")
    try:
        folder = scripts[0].parent
        prepare = [f"fpath=({folder} $fpath)", "autoload -Uz compinit", "compinit -u -D", "PS1="]
        prepare += ["unset zle_bracketed_paste", "bindkey ^T list-choices"]
        # Before its editor reads the line, the terminal itself would show what is typed.
        prepare += ["zle-line-init() { print -n REA''DY }", "zle -N zle-line-init\n"]
        os.write(terminal, "; ".join(prepare).encode())
        until(terminal, b"READY")
        os.write(terminal, line.encode())
        until(terminal, line.encode())
        os.write(terminal, b"\x14")
        said = until(terminal, line.encode()).decode()  # shown again below the list
    finally:
        os.close(terminal)  # which ends it
        os.waitpid(pid, 0)
    lines = list(filter(None, map(str.split, said.splitlines())))
    return [words[0] for words in lines if words != line.split()]


def until(terminal, mark):
    said = b""
    while mark not in said:
        assert select.select([terminal], [], [], 120)[0], said
        said += os.read(terminal, 1 << 16)
    return said
