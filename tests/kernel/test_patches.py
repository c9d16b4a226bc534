import base64
import re
from pathlib import Path

import pytest
from gso.kernel.errors import UsageError
from gso.kernel.paths import patches_folder
from gso.kernel.trees import patches
from gso.kernel.trees.patches import Patch, PatchError

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
    applied = patches.apply({NAME: FAULTY}, fix).files
    assert applied == {NAME: FIXED}
    assert patches.apply(applied, fix, reverse=True).files == {NAME: FAULTY}


def test_v4_only_corrects_only_the_first_function(v4_only):
    assert patches.apply({NAME: FAULTY}, v4_only).files == {NAME: FIXED_V4}


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


@pytest.mark.parametrize("present", [True, False])
def test_the_form_that_fits_the_tree_is_taken(fix, tmp_path, present):
    renamed = fix.text.replace(b"next_protocol", b"protocol")
    path = tmp_path / "other.patch"
    path.write_bytes(renamed)
    both = Patch.read_forms([patches_folder() / "ipvs-gue-inner-mac-header.patch", path])
    faulty, fixed = (text.replace(b"next_protocol", b"protocol") for text in (FAULTY, FIXED))
    found = patches.variants(tree(fixed if present else faulty), [both], both)
    assert (found.unpatched[NAME], found.patched[NAME]) == (faulty, fixed)
    assert "other applied to the patched kernel" in found.steps
    with pytest.raises(PatchError):
        patches.variants(tree(b"\n"), [both], both)


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
    assert patches.apply({"net/new.c": None}, patch).files == {"net/new.c": b"int x;\n"}
    undone = patches.apply({"net/new.c": b"int x;\n"}, patch, reverse=True)
    assert undone.files == {"net/new.c": None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"hello\n", "not a unified diff"),
        (b"\x00\xff" * 100, "not a unified diff"),
        (b"--- a/../../etc/passwd\n+++ b/../../etc/passwd\n", "outside the tree"),
        (b"--- a/net/x.c\n+++ \n", "no file of a kernel tree is named ''"),
        (
            b"diff --git a/x.c b/x.c\nold mode 100644\nnew mode 100755\n--- a/x.c\n+++ \t\n",
            "no file of a kernel tree is named ''",
        ),
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


def mail(subject: str, body: str, *headers: str) -> str:
    top = ["From 0123456789 Mon Sep 17 00:00:00 2001", "From: A <a@example.org>"]
    return "\n".join([*top, f"Subject: {subject}", *headers, "", body, ""])


def one_line(name: str, before: str, after: str) -> str:
    return (
        f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n"
        f"@@ -1 +1 @@\n-{before}\n+{after}\n"
    )


def read(path: Path, *parts: str) -> list[Patch]:
    path.write_text("\n".join(parts))
    return patches.read_series(path)


def test_a_series_from_a_mailing_list(tmp_path):
    quoted = one_line("net/a.c", "two", "three = 3").replace("=", "=3D")
    encoded = base64.encodebytes(one_line("net/a.c", "one", "two").encode()).decode()
    found = read(
        tmp_path / "s.mbox",
        mail("[PATCH net v2 0/2] cover", "about it\n"),
        mail("[PATCH net v2 2/2] second", quoted, "Content-Transfer-Encoding: quoted-printable"),
        mail("Re: [PATCH net v2 1/2] first", "> +two\nLooks good\n"),
        mail("[PATCH net v2 1/2] first", encoded, "Content-Transfer-Encoding: base64"),
        mail("[PATCH net 1/1] first", one_line("net/a.c", "one", "never")),
    )
    assert [patch.name for patch in found] == ["s-0001", "s-0002"]
    result = patches.variants(lambda _: {"net/a.c": b"one\n"}, found, None)
    assert result.patched == {"net/a.c": b"three = 3\n"}
    said = "\n".join(result.steps)
    for ignored in ("v2 0/2", "Re: [PATCH", "[PATCH net 1/1]"):
        assert ignored in said


def test_a_series_with_a_hole_is_refused(tmp_path):
    with pytest.raises(UsageError, match="2 of 3 is missing"):
        read(
            tmp_path / "s.mbox",
            mail("[PATCH 1/3] a", one_line("net/a.c", "1", "2")),
            mail("[PATCH 3/3] c", one_line("net/a.c", "3", "4")),
        )


def test_a_mail_without_a_patch_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no patch among 1 mails"):
        read(tmp_path / "s.mbox", mail("Re: hello", "no diff here\n"))


@pytest.mark.parametrize(
    ("diff", "before", "after"),
    [
        (
            "diff --git a/net/a.c b/net/b.c\nsimilarity index 100%\n"
            "rename from net/a.c\nrename to net/b.c\n",
            {"net/a.c": b"x\n", "net/b.c": None},
            {"net/a.c": None, "net/b.c": b"x\n"},
        ),
        (
            "diff --git a/net/a.c b/net/a.c\ndeleted file mode 100644\n"
            "--- a/net/a.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n",
            {"net/a.c": b"x\n"},
            {"net/a.c": None},
        ),
        # diff -u without git: paths from the top, or below a folder of any name.
        (
            "--- net/a.c\n+++ net/a.c\n@@ -1 +1 @@\n-x\n+y\n",
            {"net/a.c": b"x\n"},
            {"net/a.c": b"y\n"},
        ),
        (
            "--- linux.orig/net/a.c\t2026\n+++ linux/net/a.c\t2026\n@@ -1 +1 @@\n-x\n+y\n",
            {"net/a.c": b"x\n"},
            {"net/a.c": b"y\n"},
        ),
        # A removed line that looks like a header.
        (
            "--- a/net/a.c\n+++ b/net/a.c\n@@ -1 +1 @@\n--- b/evil\n+++ b/evil\n",
            {"net/a.c": b"-- b/evil\n"},
            {"net/a.c": b"++ b/evil\n"},
        ),
    ],
    ids=["rename", "delete", "p0", "p1", "header-like"],
)
def test_every_kind_of_diff(tmp_path, diff, before, after):
    (patch,) = read(tmp_path / "x.patch", diff)
    assert set(patch.touched) == set(before)
    assert patches.apply(before, patch).files == after


def test_a_binary_difference_without_content_is_refused(tmp_path):
    with pytest.raises(UsageError, match="git diff --binary"):
        read(
            tmp_path / "x.patch",
            "diff --git a/a.bin b/a.bin\nBinary files a/a.bin and b/a.bin differ\n",
        )


def test_a_binary_patch_that_says_it_is_huge_is_refused(tmp_path):
    path = tmp_path / "huge.patch"
    path.write_bytes(
        b"diff --git a/net/a.c b/net/a.c\n"
        b"index " + b"1" * 40 + b".." + b"2" * 40 + b" 100644\n"
        b"GIT binary patch\nliteral 3000000000\nHcmV?d00001\n\nliteral 0\nHcmV?d00001\n\n"
    )
    (huge,) = patches.read_series(path)
    with pytest.raises(PatchError, match="Out of memory"):
        patches.apply({"net/a.c": b"x"}, huge)


def test_a_file_mode_is_said_to_stay(tmp_path):
    (patch,) = read(
        tmp_path / "x.patch",
        "diff --git a/scripts/x b/scripts/x\nold mode 100644\nnew mode 100755\n",
    )
    assert patch.touched == ("scripts/x",)
    assert "old mode 100644, new mode 100755" in patch.notes[0]


def test_offsets_and_fuzz_are_reported(fix):
    moved = b"\n" * 3 + FAULTY
    steps = patches.variants(tree(moved), [fix], None).steps
    assert any(re.search(r"Hunk #1 succeeded at 1233 \(offset -1 lines\)", step) for step in steps)
    # The outermost line of context differs: patch(1) would call that fuzz.
    context = [line for line in fix.text.decode().splitlines() if line.startswith(" ")]
    fuzzy = FAULTY.replace(b"\tif (tun_type == IP_VS_CONN_F_TUNNEL_TYPE_GUE) {", b"\tif (gue) {")
    assert context
    found = patches.variants(tree(fuzzy), [fix], None)
    assert found.patched[NAME].count(LINE) == 2
    assert any("fuzz" in step for step in found.steps)
