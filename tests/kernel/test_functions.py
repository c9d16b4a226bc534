"""Which functions a patch changes, in C as kernels have it."""

from __future__ import annotations

from gso.kernel.trees.functions import OUTSIDE, Function, changed, functions

C = """\
// SPDX-License-Identifier: GPL-2.0
#include <linux/skbuff.h>

#define CALL(x) do { \\
\tif (x) { \\
\t\treturn; \\
} } while (0)

static const struct ops table = {
\t.name = "a { brace",
};

struct kept {
\tint (*hook)(int);
};

/* is_small() { is a comment */
static inline bool is_small(int n) { return n < 2; }

static int __init start(void)
{
\treturn is_small('{');
}

__printf(1, 2) static void
say(const char *text, ...)
{
}

static int (*const nothing)(int) = NULL;

int outer(int n)
{
#ifdef CONFIG_X
\tif (is_small(n)) {
#else
\tif (n) {
#endif
\t\tsay("}");
\t}
\treturn n;
}
EXPORT_SYMBOL(outer);

BPF_CALL_2(helper, int, a, int, b)
{
\treturn outer(a);
}
"""
FILE = "net/core/x.c"


def differing(old: str, new: str, text: str = C) -> dict[str, Function]:
    assert old in text
    after = text.replace(old, new, 1)
    return {f.name: f for f in changed({FILE: text.encode()}, {FILE: after.encode()})}


def test_all_functions_are_found_and_nothing_else():
    assert set(functions(C)) == {OUTSIDE, "is_small", "start", "say", "outer", "helper"}
    assert "struct kept { int (*hook)(int); };" in functions(C)[OUTSIDE]
    assert functions(C)["outer"].startswith("int outer(int n) {")


def test_a_change_belongs_to_its_function_and_names_who_leads_there():
    assert differing("return n < 2", "return n < 3") == {
        "is_small": Function(
            FILE, "is_small", (("is_small", ("start", "outer")), ("outer", ("helper",)))
        )
    }
    assert differing("return is_small('{')", "return 0")["start"].only_at_load
    assert set(differing("return outer(a)", "return outer(b)")) == {"helper"}


def test_comments_and_spacing_change_nothing():
    assert differing("\treturn n;", "\t/* } */ return\tn; // so\n") == {}
    assert differing("/* is_small() { is a comment */", "") == {}


def test_code_outside_functions_is_told():
    assert set(differing("(*hook)(int)", "(*hook)(long)")) == {OUTSIDE}
    assert set(differing("if (x) {", "if (!x) {")) == {OUTSIDE}
    assert set(differing("a { brace", "a } brace")) == {OUTSIDE}


def test_functions_and_files_that_come_and_go():
    assert set(differing("int outer(int n)", "int other(int n)")) == {"outer", "other"}
    assert differing("int outer(int n)", "int other(int n)")["outer"].callers == (
        ("outer", ("helper",)),
    )
    (new,) = changed({FILE: None}, {FILE: b"int f(void)\n{\n\treturn 1;\n}\n"})
    assert new == Function(FILE, "f")
    assert changed({"Makefile": b"a"}, {"Makefile": b"b"}) == []


def test_both_branches_of_the_preprocessor_count():
    text = (
        "#ifdef A\nint f(void)\n{\n\treturn 1;\n}\n#else\nint f(void)\n{\n\treturn 2;\n}\n#endif\n"
    )
    assert set(differing("return 2", "return 3", text)) == {"f"}


def test_a_head_may_have_two_forms():
    text = "#ifdef A\nint f(void)\n#else\nint f(int b)\n#endif\n{\n\treturn 1;\n}\n"
    assert set(differing("return 1", "return 2", text)) == {"f"}
    # What stands before a directive that no head is before has no part in it.
    text = "int a;\n#endif\n{\n\treturn 1;\n}\n"
    assert set(differing("return 1", "return 2", text)) == {OUTSIDE}
