"""Leaks read from /sys/kernel/debug/kmemleak, in the forms of Linux 6.1 and 6.12."""

from gso.kernel.judging import kmemleak


def parse(text: str) -> list[kmemleak.Leak]:
    return kmemleak.parse(text.splitlines())


HEAD = """\
unreferenced object 0xffff88800{number:03x}0000 (size {size}):
  comm "python3", pid 9, jiffies 4294900000{age}
  hex dump (first 32 bytes):
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  ................
    00 e0 5d 07 80 88 ff ff 00 00 00 00 00 00 00 00  ..].............
"""
NEW = """\
  backtrace (crc 5d2b1c):
    kmem_cache_alloc_noprof+0x1c4/0x2a0
    skb_clone+0x5a/0xd0
    ip_vs_tunnel_xmit+0x3ad/0x9e0 [ip_vs]
"""
OLD = """\
  backtrace:
    [<00000000d4d1b6b6>] kmem_cache_alloc_noprof+0x1c4/0x2a0
    [<00000000d4d1b6b7>] skb_clone+0x5a/0xd0
    [<00000000d4d1b6b8>] ip_vs_tunnel_xmit+0x3ad/0x9e0 [ip_vs]
"""
CLONE = ("kmem_cache_alloc_noprof", "skb_clone", "ip_vs_tunnel_xmit")


def entry(number: int, trace: str, size: int = 232, age: str = "") -> str:
    return HEAD.format(number=number, size=size, age=age) + trace


def test_objects_of_one_path_are_one_leak():
    other = "  backtrace (crc 0):\n    kmalloc_trace+0x1/0x2\n    setup+0x3/0x4\n"
    text = entry(1, NEW) + entry(2, other, size=64) + entry(3, OLD, age=" (age 12.040s)")
    assert parse(text) == [
        kmemleak.Leak(CLONE, 2, 464),
        kmemleak.Leak(("kmalloc_trace", "setup"), 1, 64),
    ]
    assert str(parse(text)[0]) == (
        "kmemleak: 2 objects leaked, 464 bytes, allocated in "
        "kmem_cache_alloc_noprof < skb_clone < ip_vs_tunnel_xmit"
    )


def test_what_was_interrupted_does_not_divide_a_leak():
    frames = [f"    function_{number}+0x1/0x2\n" for number in range(9)]
    texts = ["  backtrace (crc 1):\n" + "".join([*frames, f"    {end}+0x1/0x2\n"]) for end in "ab"]
    (leak,) = parse(entry(1, texts[0]) + entry(2, texts[1]))
    assert leak.objects == 2


def test_only_what_the_unpatched_kernel_has_not_is_new():
    leaks = parse(entry(1, NEW))
    assert kmemleak.new([], leaks) == leaks
    assert kmemleak.new(parse(entry(5, OLD)), leaks) == []
    assert parse("") == []
    assert parse(entry(1, "  backtrace (crc 0):\n"))[0].stack == ()
