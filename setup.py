"""Build the compiled core: an extension for each ``.pyx`` below ``gso/``, and one they share."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from Cython.Build import cythonize
from setuptools import Command, Extension, find_packages, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent

# COMPILE=0 leaves the modules out: `make build` installs the project in place, then compiles.
compiled = os.environ.get("COMPILE") != "0"

# SANITIZE=address,undefined builds with the sanitizers; the interpreter then needs their run-time
# preloaded (LD_PRELOAD="$(gcc -print-file-name=libasan.so)").
sanitizers = os.environ.get("SANITIZE")
sanitize = (
    [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    if sanitizers
    else []
)
# Whoever gives the flags himself, as OSS-Fuzz does, has sanitizers too.
sanitized = bool(sanitizers) or "-fsanitize=" in os.environ.get("CFLAGS", "")

# Headers are too short for the loops over them to be worth vectorising.
scalar = ["-fno-tree-vectorize"]

# Only these modules call the C code; the others reach it through them.
c_sources = {
    "gso.buffers._checksum": ["gso/buffers/simd/simd.c"],
    "gso.buffers._crc32c": ["gso/buffers/simd/crc32c.c"],
    "gso.buffers._memory": ["gso/buffers/arena.c"],
    "gso.rules._judge": ["gso/rules/judge.c"],
}
# A module that cimports another includes its C headers, too.
include_dirs = ["gso/buffers", "gso/buffers/simd", "gso/rules", "gso/skb", "gso/traces"]
headers = [str(path.relative_to(HERE)) for path in sorted((HERE / "gso").rglob("*.h"))]


def module_name(path: Path) -> str:
    """Return the name under which a file below ``gso/`` is imported."""
    return ".".join(path.relative_to(HERE).with_suffix("").parts)


extensions = [
    Extension(
        module_name(source),
        [str(source.relative_to(HERE)), *c_sources.get(module_name(source), [])],
        include_dirs=include_dirs,
        depends=headers,
        extra_compile_args=[
            "-O3",
            "-Wall",
            "-Wextra",
            "-Wno-unused-parameter",
            "-Wno-psabi",  # vectors are passed only where they are inlined
            "-fwrapv",  # numbers of untrusted input are subtracted before they are judged
            *sanitize,
            *([] if module_name(source) in c_sources else scalar),
        ],
        extra_link_args=sanitize,
    )
    for source in sorted((HERE / "gso").rglob("*.pyx"))
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

PICTURES = (".svg", ".png")


def readme() -> str:
    """Return README.md; links to files beside it lead to the repository, where PyPI has none."""
    project = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    facts = dict(re.findall(r'^(version|Source) = "(.*)"', project, re.MULTILINE))

    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if link[1].endswith(PICTURES) else "blob"
        return f"]({facts['Source']}/{kind}/v{facts['version']}/{link[1]})"

    text = (HERE / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\]\((?!https?:|#)([^)\s]+)\)", absolute, text)


class BuildExtensions(build_ext):
    """Compile; modules for a wheel are stripped, those beside their sources keep symbols."""

    def finalize_options(self) -> None:
        """Ask the linker for no symbols."""
        super().finalize_options()
        if not self.inplace and not sanitized:
            for extension in self.extensions or []:
                extension.extra_link_args = [*extension.extra_link_args, "-Wl,--strip-all"]


class BuildManuals(Command):
    """Let the package that was just built write its manual pages and completions."""

    description = "write manual pages and completions"
    user_options: ClassVar[list[tuple[str, str, str]]] = []
    editable_mode = False

    def initialize_options(self) -> None:
        """Begin without knowing where the package was built."""
        self.build_lib = self.build_base = None

    def finalize_options(self) -> None:
        """Take from `build` where the package was built."""
        self.set_undefined_options(
            "build", ("build_lib", "build_lib"), ("build_base", "build_base")
        )

    def run(self) -> None:
        """Write them, and name them to the command that fills the wheel."""
        if self.editable_mode or sanitized or not compiled:
            return  # nothing is there yet that this interpreter could import
        folder = Path(self.build_base, "manuals").resolve()
        path = os.pathsep.join([str(Path(self.build_lib).resolve()), *filter(None, sys.path)])
        # Byte code, which names the folders of this build, would get into the wheel.
        writer = [sys.executable, "-B", HERE / "release" / "manuals.py", folder]
        subprocess.run(
            [*writer, self.distribution.get_version()],
            check=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.distribution.data_files = [
            (str(file.parent.relative_to(folder)), [os.path.relpath(file)])
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        ]

    def get_source_files(self) -> list[str]:
        """Name the file that an sdist needs for this."""
        return ["release/manuals.py"]

    def get_outputs(self) -> list[str]:
        """Name nothing: none of it is imported."""
        return []

    def get_output_mapping(self) -> dict[str, str]:
        """Name nothing: none of it has a source that it could be replaced by."""
        return {}


class Build(build):
    """Build all, and at last what the package says of itself."""

    sub_commands: ClassVar[list[Any]] = [*build.sub_commands, ("build_manuals", None)]


# The processes that translate modules may import this file.
if __name__ == "__main__":
    cores = os.cpu_count() or 1
    setup(
        long_description=readme(),
        long_description_content_type="text/markdown",
        # The folder kernel/ is installed inside gso: a top-level module "kernel" is taken on PyPI.
        packages=[
            *find_packages(include=["gso", "gso.*"]),
            *(f"gso.{name}" for name in find_packages(include=["kernel", "kernel.*"])),
            "gso.kernel.patches",
        ],
        package_dir={"gso": "gso", "gso.kernel": "kernel", "gso.kernel.patches": "patches"},
        # Only what is named here, not everything that the sdist has.
        include_package_data=False,
        package_data={
            "": ["*.pyi", "*.pxd", "*.h"],
            "gso": ["py.typed", "buffers/simd/*.h", "diagnosis/drop_reasons.*"],
            "gso.commands": ["*.json", "*.lua"],
            "gso.kernel": ["config/*.config"],
            "gso.kernel.conformance.coverage": ["*.toml"],
            "gso.kernel.report": ["*.css", "*.schema.json"],
            "gso.kernel.hunting": ["*.schema.json", "*.toml", "kinds/*.toml"],
            "gso.kernel.guest": ["*.sh", "*/Kbuild", "*/*.c"],
            "gso.kernel.patches": ["*.patch", "*.toml", "README.md", "LICENSE"],
        },
        ext_modules=cythonize(
            extensions if compiled else [],
            language_level=3,
            nthreads=cores,
            shared_utility_qualified_name=shared,
        ),
        cmdclass={
            "build": Build,
            "build_ext": BuildExtensions,
            "build_manuals": BuildManuals,
        },
        options={"build_ext": {"parallel": cores}},
    )
