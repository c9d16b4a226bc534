import copy
import pickle

import pytest

from gso import GsoError, GsoType, Reason


@pytest.mark.parametrize("again", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
def test_errors_survive_copying(again):
    error = GsoError("40 of 39", reason=Reason.TRUNCATED, field="ihl", offset=14, limit=39)
    twin = again(error)
    assert str(twin) == "40 of 39"
    assert isinstance(twin, ValueError)
    assert (twin.reason, twin.field, twin.offset, twin.limit) == ("truncated", "ihl", 14, 39)


def test_gso_types_are_the_kernels_bits():
    assert GsoType.TCPV6 == 0x10
    assert GsoType.UDP_TUNNEL | GsoType.UDP_TUNNEL_CSUM == 0xC00
    assert GsoType.UDP_L4 == 0x20000
