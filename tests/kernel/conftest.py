from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gso.kernel.runs import doctor

import testbed
from testbed import Done, namespaces, virtual_machines

Command = Callable[..., Done]


@pytest.fixture
def gso_kernel(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    """Run a ``gso-kernel`` command; in this process, unless the test boots machines."""
    boots = request.node.get_closest_marker("vm")
    return functools.partial(testbed.gso_kernel if boots else testbed.gso_kernel_here, tmp_path)


@pytest.fixture
def cluster(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., str]]:
    """Make a cluster of worker processes with folders of their own; return its address."""
    distributed = pytest.importorskip("distributed")
    place = pytest.importorskip("fake_workers").Place
    ends: list[Any] = []
    if not request.node.get_closest_marker("vm"):
        monkeypatch.setenv("PYGSO_CACHE", str(tmp_path / "cache"))

    def make(deadly: str = "", *, fake: bool = True, workers: int = 2) -> str:
        (tmp_path / "workers").mkdir()
        local = distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
        )
        client = distributed.Client(local, set_as_default=False)
        ends.extend((client, local))
        client.register_plugin(place(str(tmp_path / "workers"), deadly, fake=fake))
        return local.scheduler_address.replace("tcp://", "dask://")

    yield make
    for one in ends:
        one.close()


@pytest.fixture(scope="session")
def test_bed() -> None:
    """Skip kindly where no VM can be had; never in CI."""
    missing = [f.name for f in doctor.examine() if f.required and not f.present]
    if missing:
        text = f"no test bed here, gso-kernel doctor misses: {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)


@pytest.fixture
def verify(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    """Run ``gso-kernel verify`` with real VMs."""
    request.getfixturevalue("test_bed")
    return functools.partial(testbed.gso_kernel, tmp_path, "verify")


@pytest.fixture(scope="session")
def fixed(test_bed: None, tmp_path_factory: pytest.TempPathFactory) -> Done:  # noqa: ARG001
    """Verify the fix in the default scenarios and in one of each family, for several tests."""
    folder = tmp_path_factory.mktemp("fixed")
    before = namespaces()
    only = [word for name in ("default", *testbed.ONE_OF_EACH_FAMILY) for word in ("--only", name)]
    done = testbed.gso_kernel(folder, "verify", testbed.MAIN, *only, "--timeout", "900")
    assert not virtual_machines(folder)
    assert namespaces() <= before
    return done


@pytest.fixture
def nothing_is_left_behind(tmp_path: Path) -> Iterator[None]:
    """Fail when the test leaves a machine or a namespace."""
    before = namespaces()
    yield
    assert not virtual_machines(tmp_path)
    assert namespaces() <= before
