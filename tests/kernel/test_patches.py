from pathlib import Path

import pytest

from gso.kernel import patches
from gso.kernel.errors import UsageError
from gso.kernel.patches import Patch, PatchError
from gso.kernel.paths import patches_folder

NAME = "net/netfilter/ipvs/ip_vs_xmit.c"
LINE = b"\tskb_set_inner_mac_header(skb, skb_inner_network_offset(skb));\n"

# Two functions whose bodies look alike, as in the kernel.
FUNCTION = b"""int
%s(struct sk_buff *skb)
{
	skb->transport_header = skb->network_header;

	skb_set_inner_ipproto(skb, next_protocol);

	if (tun_type == IP_VS_CONN_F_TUNNEL_TYPE_GUE) {
		bool check = false;

		return check;
	}
}
"""
FAULTY = b"\n" * 1226 + FUNCTION % b"ip_vs_tunnel_xmit"
FAULTY += b"\n" * (1375 - FAULTY.count(b"\n") - 6) + FUNCTION % b"ip_vs_tunnel_xmit_v6"
CALL = b"\tskb_set_inner_ipproto(skb, next_protocol);\n"
FIXED = FAULTY.replace(CALL, CALL + LINE)
FIXED_V4 = FAULTY.replace(CALL, CALL + LINE, 1)


@pytest.fixture
def fix() -> Patch:
    return Patch.read(patches_folder() / "ipvs-gue-inner-mac-header.patch")


@pytest.fixture
def v4_only() -> Patch:
    return Patch.read(patches_folder() / "ipvs-gue-inner-mac-header-v4-only.patch")


def tree(content: bytes):
    return lambda names: {name: content if name == NAME else None for name in names}


def write(path: Path, before: bytes, after: bytes) -> Patch:
    path.write_bytes(b"--- a/%b\n+++ b/%b\n%b" % (NAME.encode(), NAME.encode(), before + after))
    return Patch.read(path)


def test_the_fix_touches_one_file(fix):
    assert fix.touched == (NAME,)


def test_apply_and_reverse_are_inverse(fix):
    applied = patches.apply({NAME: FAULTY}, fix)
    assert applied == {NAME: FIXED}
    assert patches.apply(applied, fix, reverse=True) == {NAME: FAULTY}


def test_v4_only_corrects_only_the_first_function(v4_only):
    assert patches.apply({NAME: FAULTY}, v4_only) == {NAME: FIXED_V4}


@pytest.mark.parametrize("content", [FAULTY, FIXED])
def test_the_fix_gives_the_same_variants_whether_the_tree_has_it_or_not(fix, content):
    found = patches.variants(tree(content), [fix], fix)
    assert (found.unpatched[NAME], found.patched[NAME]) == (FAULTY, FIXED)


def test_an_incomplete_patch_is_not_completed_by_the_fixed_tree(fix, v4_only):
    found = patches.variants(tree(FIXED), [v4_only], fix)
    assert (found.unpatched[NAME], found.patched[NAME]) == (FAULTY, FIXED_V4)
    assert found.steps[0].startswith("the tree has the fix")


def test_without_a_known_fix_a_patch_in_the_tree_is_taken_out_of_the_unpatched_kernel(fix):
    found = patches.variants(tree(FIXED), [fix], None)
    assert (found.unpatched[NAME], found.patched[NAME]) == (FAULTY, FIXED)
    assert "in the tree already" in found.steps[0]


def test_a_series_is_applied_in_order(fix, tmp_path):
    second = write(
        tmp_path / "second.patch",
        b"@@ -1238,3 +1238,3 @@\n",
        b"-"
        + LINE
        + b"+\t/* moved */\n"
        + b" \n"
        + b" \tif (tun_type == IP_VS_CONN_F_TUNNEL_TYPE_GUE) {\n",
    )
    found = patches.variants(tree(FAULTY), [fix, second], None)
    assert found.patched[NAME] == FIXED.replace(LINE, b"\t/* moved */\n", 1)


def test_a_patch_for_another_tree_does_not_apply(fix):
    with pytest.raises(PatchError, match=r"cannot be applied to this tree.*\n.*ip_vs_xmit.c"):
        patches.variants(tree(b"int main;\n"), [fix], None)


def test_a_file_missing_from_the_tree_is_named(fix):
    with pytest.raises(PatchError, match=r"ip_vs_xmit\.c"):
        patches.variants(dict.fromkeys, [fix], None)


def test_new_and_deleted_files(tmp_path):
    new = tmp_path / "new.patch"
    new.write_bytes(b"--- /dev/null\n+++ b/net/new.c\n@@ -0,0 +1 @@\n+int x;\n")
    patch = Patch.read(new)
    assert patches.apply({"net/new.c": None}, patch) == {"net/new.c": b"int x;\n"}
    assert patches.apply({"net/new.c": b"int x;\n"}, patch, reverse=True) == {"net/new.c": None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"hello\n", "not a unified diff"),
        (b"\x00\xff" * 100, "not a unified diff"),
        (b"--- a/../../etc/passwd\n+++ b/../../etc/passwd\n", "outside the tree"),
    ],
)
def test_what_is_not_a_patch_is_refused(tmp_path, content, message):
    path = tmp_path / "x.patch"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        Patch.read(path)


def test_directories_and_missing_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match="is a directory"):
        Patch.read(tmp_path)
    with pytest.raises(UsageError, match="No such file"):
        Patch.read(tmp_path / "none.patch")
