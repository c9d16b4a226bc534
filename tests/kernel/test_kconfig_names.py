"""Options of a kernel that did not stick are named, with the reason."""

from __future__ import annotations

import pytest
from gso.kernel.errors import TestBedError
from gso.kernel.trees.kconfig import check

WANTED = "CONFIG_OLD=y\nCONFIG_NEW=y\n# CONFIG_OLD became CONFIG_NEW\n# CONFIG_OFF is not set\n"
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
    check(WANTED, config, tmp_path)


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
def test_what_did_not_stick_is_named(tmp_path, entries, config, reason):
    (tmp_path / "Kconfig").write_text(entries)
    with pytest.raises(TestBedError, match=reason):
        check(WANTED, config, tmp_path)
