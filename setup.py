"""Build the compiled core: one extension per ``.pyx`` file in ``gso/``."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

HERE = Path(__file__).parent

extensions = [
    Extension(
        f"gso.{source.stem}",
        [f"gso/{source.name}"],
        extra_compile_args=["-O3", "-Wall", "-Wextra", "-Wno-unused-parameter"],
    )
    for source in sorted((HERE / "gso").glob("*.pyx"))
]

setup(
    # The folder kernel/ is installed inside gso: a top-level module "kernel" is taken on PyPI.
    packages=["gso", "gso.kernel"],
    package_dir={"gso": "gso", "gso.kernel": "kernel"},
    package_data={"gso": ["py.typed", "*.pyi", "*.pxd"]},
    ext_modules=cythonize(extensions, language_level=3),
)
