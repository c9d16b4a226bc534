"""The recipes for containers and clusters, as far as reading goes: none is built or run here."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import gso.cli
import manuals

ROOT = Path(__file__).parents[2]
CONTAINERFILE = (ROOT / "contrib/container/Containerfile").read_text()
MANIFEST = ROOT / "contrib/kubernetes/watch.yaml"
INSTRUCTIONS = {"FROM", "RUN", "COPY", "ENV", "ENTRYPOINT", "CMD"}


def instructions() -> list[tuple[str, str]]:
    whole = re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(" ", 1)) for line in whole.splitlines() if line]


def read(words: list[str]) -> object:
    return manuals.whole_parser(gso.cli.__name__).parse_args(words)


def test_the_image_has_known_instructions_and_full_names():
    found = instructions()
    assert {name for name, _ in found} == INSTRUCTIONS
    bases = [rest.split()[0] for name, rest in found if name == "FROM"]
    assert bases == ["docker.io/library/debian:12-slim"] * 2
    assert "bpftrace" in CONTAINERFILE
    for name, rest in found:
        if name == "RUN" and "apt-get" in rest:
            assert "--no-install-recommends" in rest
            assert rest.endswith("rm -rf /var/lib/apt/lists/*")


def test_the_image_takes_the_wheel_that_is_built():
    (pattern,) = (rest.split()[0] for name, rest in instructions() if "dist/" in rest)
    name = pattern.removeprefix("dist/")
    built = f"pygso-{gso.__version__}-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
    assert fnmatchcase(built, name)
    assert not fnmatchcase(built.replace("cp311", "cp313"), name)
    assert not fnmatchcase(built.replace("manylinux", "musllinux"), name)


def test_the_image_runs_a_command_that_there_is():
    (words,) = (rest for name, rest in instructions() if name == "CMD")
    assert read(re.findall(r'"(.*?)"', words)).ndjson


def test_the_pods_watch_their_own_node():
    yaml = pytest.importorskip("yaml", reason="no PyYAML here: make docs installs it")
    space, daemons = yaml.safe_load_all(MANIFEST.read_text())
    assert daemons["metadata"]["namespace"] == space["metadata"]["name"]
    template = daemons["spec"]["template"]
    assert daemons["spec"]["selector"]["matchLabels"] == template["metadata"]["labels"]
    pod = template["spec"]
    (container,) = pod["containers"]
    options = read(container["args"])
    assert options.ndjson
    assert options.seconds == 3600
    assert container["securityContext"]["privileged"]
    mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    shared = {v["name"]: v["hostPath"]["path"] for v in pod["volumes"] if "hostPath" in v}
    assert mounted.keys() == {volume["name"] for volume in pod["volumes"]}
    assert shared == {name: path for name, path in mounted.items() if name != "tmp"}
    assert pod["automountServiceAccountToken"] is False
    assert "hostNetwork" not in pod
