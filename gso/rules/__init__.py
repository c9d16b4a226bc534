"""What makes a record of an sk_buff, or a frame, wrong: the rules, and those who judge by them."""

from gso.rules.validate import (
    FIELDS,
    OFFSETS,
    RULES,
    SKB_DTYPE,
    Finding,
    Findings,
    Rule,
    Severity,
    SkbState,
    explain,
    finding,
    skb_array,
    validate,
    validate_batch,
)

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
    "skb_array",
    "validate",
    "validate_batch",
]
