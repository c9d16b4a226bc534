"""Build the compiled core: an extension for each ``.pyx`` file in ``gso/``, and one they share."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

HERE = Path(__file__).parent

# SANITIZE=address,undefined builds with the sanitizers; the interpreter then needs their run-time
# preloaded (LD_PRELOAD="$(gcc -print-file-name=libasan.so)").
sanitizers = os.environ.get("SANITIZE")
sanitize = (
    [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    if sanitizers
    else []
)

# Headers are too short for the loops over them to be worth vectorising.
scalar = ["-fno-tree-vectorize"]

# Only these modules call the C code; the others reach it through them.
c_headers = {
    "_checksum": [f"gso/{name}.h" for name in ("simd", "train", "x86", "avx2", "avx512", "neon")],
    "_validate": ["gso/judge.h", "gso/judge_rows.h"],
}
c_sources = {"_checksum": ["gso/simd.c"], "_validate": ["gso/judge.c"]}

extensions = [
    Extension(
        f"gso.{source.stem}",
        [f"gso/{source.name}", *c_sources.get(source.stem, [])],
        include_dirs=["gso"],
        depends=c_headers.get(source.stem, ["gso/simd.h", "gso/token.h"]),
        extra_compile_args=[
            "-O3",
            "-Wall",
            "-Wextra",
            "-Wno-unused-parameter",
            "-Wno-psabi",  # vectors are passed only where they are inlined
            "-fwrapv",  # numbers of untrusted input are subtracted before they are judged
            *sanitize,
            *([] if source.stem in c_sources else scalar),
        ],
        extra_link_args=sanitize,
    )
    for source in sorted((HERE / "gso").glob("*.pyx"))
]

# What Cython needs for typed memoryviews, once instead of in each module.
shared = "gso._cyutility"
extensions.append(
    Extension(
        shared,
        ["gso/_cyutility.c"],
        extra_compile_args=["-O3", *sanitize],
        extra_link_args=sanitize,
    )
)

# The processes that translate modules may import this file.
if __name__ == "__main__":
    cores = os.cpu_count() or 1
    setup(
        # The folder kernel/ is installed inside gso: a top-level module "kernel" is taken on PyPI.
        packages=[
            *("gso", "gso.kernel", "gso.kernel.guest", "gso.kernel.report", "gso.kernel.patches"),
            *("gso.kernel.conformance", "gso.kernel.scenarios", "gso.kernel.scenarios.families"),
        ],
        package_dir={"gso": "gso", "gso.kernel": "kernel", "gso.kernel.patches": "patches"},
        # Only what is named here, not everything that the sdist has.
        include_package_data=False,
        package_data={
            "gso": ["py.typed", "*.pyi", "*.pxd", "*.h"],
            "gso.kernel": ["config/*.config"],
            "gso.kernel.report": ["*.css", "*.schema.json"],
            "gso.kernel.guest": ["*.sh", "segmenter/Kbuild", "segmenter/*.c"],
            "gso.kernel.patches": ["*.patch", "README.md", "LICENSE"],
        },
        ext_modules=cythonize(
            extensions, language_level=3, nthreads=cores, shared_utility_qualified_name=shared
        ),
        options={"build_ext": {"parallel": cores}},
    )
