"""Options that a configuration lacks are named, each once, whatever the tree's Kconfig says."""

from __future__ import annotations

import pytest
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.trees import kconfig

ENTRY = 'config GUE\n\ttristate "GUE"\n\tdepends on NET && FOU\n\nconfig QUIET\n\tbool\n'


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "Kconfig").write_text(ENTRY)
    return tmp_path


def said(wanted: str, config: str, tree) -> str:
    with pytest.raises(TestBedError) as error:
        kconfig.check(wanted, config, tree)
    return error.value.message


@pytest.mark.parametrize(
    ("wanted", "config"),
    [
        ("CONFIG_NET=y\n", "CONFIG_NET=y\n"),
        ("CONFIG_NET=y \n", "CONFIG_NET=y\n"),
        ('CONFIG_NAME="a b"\n', 'CONFIG_NAME="a b"\n'),
        ("# CONFIG_NET is not set\n", "# CONFIG_NET is not set\n"),
        ("# CONFIG_NET is not set\n", "CONFIG_NETFILTER=y\n"),
        ("# a remark\n\n", ""),
    ],
)
def test_what_sticks(tree, wanted, config):
    kconfig.check(wanted, config, tree)


@pytest.mark.parametrize(
    ("wanted", "config", "reason"),
    [
        ("CONFIG_GUE=y", "CONFIG_NET=y", "depends on NET && FOU; not set: FOU"),
        ("CONFIG_GUE=y", "CONFIG_NET=y\nCONFIG_FOU=y", "depends on NET && FOU"),
        ("CONFIG_QUIET=y", "", "has no prompt: only another option's select can set it"),
        ("CONFIG_NEW=y", "", "this tree's Kconfig files have no such option"),
        ("# CONFIG_GUE is not set", "CONFIG_GUE=m", "depends on NET && FOU; not set: NET, FOU"),
        # It has a space, and is looked for all the same.
        ('CONFIG_NAME="a b"', "", "this tree's Kconfig files have no such option"),
    ],
)
def test_what_does_not_stick_is_named_with_its_reason(tree, wanted, config, reason):
    assert said(f"{wanted}\n", f"{config}\n", tree).splitlines()[1:] == [f"{wanted}: {reason}"]


def test_a_long_answer_says_how_much_is_left_out(tree):
    entry = "config A{}\n\tbool\n\tdepends on " + "B && " * 1000 + "C\n"
    (tree / "net" / "Kconfig").write_text("".join(map(entry.format, range(150))))
    wanted = "".join(f"CONFIG_A{number}=y\n" for number in range(150))
    lines = said(wanted, "", tree).splitlines()
    assert (len(lines), lines[-1]) == (102, "and 50 more")
    assert max(map(len, lines)) < 600


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"CONFIG_NET=y\nCONFG_TUN=y\n", "line 2: 'CONFG_TUN=y' sets no option"),
        (b" CONFIG_NET=y\n", "line 1: ' CONFIG_NET=y' sets no option"),
        (b"\xff\n", "cannot read the configuration fragment"),
    ],
)
def test_a_fragment_with_something_else_is_refused(tmp_path, text, message):
    path = tmp_path / "own.config"
    path.write_bytes(text)
    with pytest.raises(UsageError, match=message):
        kconfig.fragment(str(path))


def test_the_fragments_of_the_package_are_read():
    assert "CONFIG_NET=y" in kconfig.fragments(("leaks", "locks"))


# --- options that later kernels have under another name ---

RENAMED = "CONFIG_OLD=y\nCONFIG_NEW=y\n# CONFIG_OLD became CONFIG_NEW\n# CONFIG_OFF is not set\n"
BOTH, NEW = 'config OLD\n\tbool "Old"\nconfig NEW\n\tbool "New"\n', 'config NEW\n\tbool "New"\n'


@pytest.mark.parametrize(
    ("entries", "config"),
    [
        (BOTH, "CONFIG_OLD=y\nCONFIG_NEW=y\n"),
        (NEW, "CONFIG_NEW=y\n"),
        (NEW, "CONFIG_NEW=y\n# CONFIG_OFF is not set\n"),
    ],
)
def test_an_option_may_have_another_name(tmp_path, entries, config):
    (tmp_path / "Kconfig").write_text(entries)
    kconfig.check(RENAMED, config, tmp_path)


@pytest.mark.parametrize(
    ("entries", "config", "reason"),
    [
        (BOTH, "CONFIG_NEW=y\n", "CONFIG_OLD=y: another option excludes it$"),
        (NEW, "CONFIG_NEW=m\n", "CONFIG_OLD=y: this tree's Kconfig files have no such option"),
        (NEW, "", "CONFIG_OLD=y: .* no such option\nCONFIG_NEW=y: another option excludes it$"),
        (BOTH, "CONFIG_OLD=y\nCONFIG_NEW=y\nCONFIG_OFF=y\n", "# CONFIG_OFF is not set: .* no such"),
        (
            'config NEW\n\tbool "New"\n\tdepends on BASE\n',
            "",
            r"CONFIG_NEW=y: depends on BASE; not set: BASE$",
        ),
        ("config NEW\n\tbool\n", "", "CONFIG_NEW=y: has no prompt: only another option's select"),
    ],
)
def test_with_new_names_what_did_not_stick_is_named(tmp_path, entries, config, reason):
    (tmp_path / "Kconfig").write_text(entries)
    with pytest.raises(TestBedError, match=reason):
        kconfig.check(RENAMED, config, tmp_path)
