"""The rules that an sk_buff, or a frame, has to keep, and functions that judge by them."""

from gso.rules.doubts import is_tunnel_doubtful
from gso.rules.findings import Finding, Findings, finding
from gso.rules.table import RULES, Rule, Severity, explain
from gso.rules.validate import validate, validate_batch
from gso.skb._skb import FIELDS, SKB_DTYPE
from gso.skb.state import OFFSETS, SkbState, skb_array

__all__ = [
    "FIELDS",
    "OFFSETS",
    "RULES",
    "SKB_DTYPE",
    "Finding",
    "Findings",
    "Rule",
    "Severity",
    "SkbState",
    "explain",
    "finding",
    "is_tunnel_doubtful",
    "skb_array",
    "validate",
    "validate_batch",
]
