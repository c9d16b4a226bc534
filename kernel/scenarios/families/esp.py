"""IPsec in tunnel mode that encrypts after segmentation, as ESP offload does."""

from itertools import product

from gso.kernel.scenarios.model import Family, Scenario
from gso.kernel.scenarios.traffic import TCP_UNSEGMENTED

_FAMILIES: tuple[Family, ...] = (4, 6)
_KEY = f"0x{bytes(range(20)).hex()}"
_STATE = (
    "xfrm state add src {here} dst {there} proto esp spi 0x1{n} reqid {n} mode tunnel "
    f"flag af-unspec aead rfc4106(gcm(aes)) {_KEY} 128"
)
_TEMPLATE = "tmpl src {here} dst {there} proto esp reqid {n} mode tunnel"


def _scenario(outer: Family, inner: Family) -> Scenario:
    return Scenario(
        name=f"esp-outer{outer}-inner{inner}",
        kind="esp",
        reason="ESP has no field for what it carries where the segmenter could see it",
        outer=outer,
        inner=inner,
        tunnel="NONE",
        segmenter="__skb_gso_segment",
        director=(
            _STATE,
            f"xfrm policy add dst {{server}} dir out {_TEMPLATE}",
            "route add {server} dev up0",
        ),
        worker=(_STATE, f"xfrm policy add dst {{server}} dir in {_TEMPLATE}"),
        # No copy of a packet that is still to be encrypted shows what the wire should have.
        traffic=TCP_UNSEGMENTED,
        modules=("esp4_offload", "esp6_offload", "xfrm_user", "gcm", "seqiv", "aesni_intel"),
    )


SCENARIOS = [_scenario(outer, inner) for outer, inner in product(_FAMILIES, _FAMILIES)]
