"""Whether an installed package works: a few things of the library and of the test bed.

    python release/smoke.py

It is run far from the sources, so that only what was installed can be found.
"""

import gso.kernel.report.page
from gso.kernel import paths
from gso.kernel.report import load

import gso

FRAME = bytes.fromhex(
    "020000000002020000000001080045000bc400014000400600000a0000010a000002"
    "04d20050000000010000000050180200142e0000"
) + bytes(2972)

sizes = [len(segment) for segment in gso.segment(FRAME, 1448)]
assert sizes == [1502, 1502, 130], sizes
assert len(list(paths.patches_folder().glob("*.patch"))) >= 2
assert (paths.GUEST / "main.py").is_file()
assert load.SCHEMA.is_file()
assert gso.kernel.report.page.__name__ == "gso.kernel.report.page"
print(f"pygso {gso.__version__} works")
