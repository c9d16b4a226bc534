"""The result of `gso.describe`: one frame, taken apart, that can be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsBytes

from gso.buffers.taken import frame_bytes
from gso.drawing.packet import describe_frame, draw, draw_svg
from gso.headers.links import checked_link
from gso.html import html_text

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gso.headers.links import LinkType
    from gso.headers.tunnels import TunnelPorts


class Description:
    """What a frame is: its headers and fields, the kernel's offsets, and which fields are wrong.

    It comes from :func:`gso.describe`.
    """

    def __init__(self, described: dict[str, Any]) -> None:
        self._described = described

    def __repr__(self) -> str:
        names = " / ".join(header["name"] for header in self._described["headers"])
        return f"<gso.Description: {names}>"

    def to_dict(self) -> dict[str, Any]:
        """All of it in types that JSON knows: what ``gso explain --json`` says of a frame.

        ``headers`` has each header with its fields, and of each length and checksum whether it is
        right; ``layout`` the offsets of :func:`gso.parse`, and where it is None ``problem`` says
        why.
        """
        return dict(self._described)

    def to_text(self, width: int = 100) -> str:
        """The same as ``gso explain`` prints it, in lines of about `width` characters."""
        return "".join(f"{line}\n" for line in draw(self._described, width=width))

    def to_svg(self) -> str:
        """The headers to scale, with the offsets, as SVG; "" for a frame without headers."""
        return draw_svg(self._described)

    def to_html(self) -> str:
        """Drawing and text as a piece of HTML, escaped; long text is cut, and says so."""
        return self.to_svg() + html_text(self.to_text())

    def _repr_html_(self) -> str:
        """For notebooks."""
        return self.to_html()


def describe(
    frame: Buffer | SupportsBytes,
    *,
    link_type: LinkType = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
) -> Description:
    """Take a frame apart for people: what ``gso explain`` shows of a packet.

    Args:
        frame: the bytes.
        link_type, tunnel_ports: as for :func:`gso.parse`.

    Raises ValueError for a link type that is not known.
    """
    data = frame_bytes(frame)
    return Description(describe_frame(data, len(data), checked_link(link_type), tunnel_ports))
