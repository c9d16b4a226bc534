"""The one exception for frames that cannot be processed."""

from __future__ import annotations

from functools import partial

from gso.constants import Reason


class GsoError(ValueError):
    """A frame was refused: by the kernel's rules, or because it is malformed.

    Attributes:
        reason: the class of the problem.
        field: the header or field at fault, in the kernel's or the RFC's words (``"ihl"``).
        offset: the byte offset in the frame where that field or header is; for a parameter such
            as ``gso_size``, its value.
        limit: the number that the frame or field violates, such as the length of the frame.
    """

    reason: Reason
    field: str
    offset: int
    limit: int

    def __init__(
        self, message: str, *, reason: Reason, field: str, offset: int, limit: int
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field
        self.offset = offset
        self.limit = limit

    def __reduce__(self) -> tuple[object, ...]:
        return partial(type(self), **vars(self)), (str(self),)
