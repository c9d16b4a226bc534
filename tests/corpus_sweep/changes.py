"""Which packets a command changed, and whether what it made of them can be right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST_HEADERS = 256
_JUMBO_OPTION = 8
_END = 8
"""So many last bytes tell the last segment of a packet."""
_WINDOW = 400
"""Among so many packets that are gone the parts of a merged one are looked for."""


@dataclass
class Change:
    """Packet `before` of the input became packets `after` of the output, numbers from 1."""

    before: int
    after: range
    why: str


def segmented(before: Sequence[bytes], after: Sequence[bytes], mtu: int = 1500) -> list[Change]:
    """Every packet of `before` that is not in its place in `after`, with what happened to it."""
    found = []
    at = 0
    for number, packet in enumerate(before):
        if at < len(after) and after[at] == packet:
            at += 1
            continue
        stop = _pieces_end(packet, after, at)
        why = _explained(packet, after[at:stop], mtu)
        found.append(Change(number + 1, range(at + 1, stop + 1), why))
        at = stop
    if at < len(after):
        found.append(Change(len(before), range(at + 1, len(after) + 1), "WRONG: packets added"))
    return found


def _pieces_end(packet: bytes, after: Sequence[bytes], at: int) -> int:
    """The packet of `after` up to which all are pieces of the packet."""
    if at < len(after) and len(after[at]) == len(packet):
        return at + 1
    total = 0
    ends = []
    for stop in range(at + 1, len(after) + 1):
        total += len(after[stop - 1])
        if total - (stop - at) * _LONGEST_HEADERS > len(packet):
            break
        if total >= len(packet) and after[stop - 1][-_END:] == packet[-_END:]:
            ends.append(stop)
    whole = (end for end in ends if headers_of_pieces(packet, after[at:end]) is not None)
    return next(whole, ends[0] if ends else at)


def _explained(packet: bytes, pieces: Sequence[bytes], mtu: int) -> str:
    if not pieces:
        return "WRONG: left out"
    if len(pieces) == 1:
        return _in_place(packet, pieces[0])
    if len(packet) <= mtu:
        return f"WRONG: {len(packet)} bytes fit the MTU and were cut"
    if max(map(len, pieces)) >= len(packet):
        return "WRONG: a segment is as long as its packet"
    if headers_of_pieces(packet, pieces) is None:
        return "WRONG: the segments' payloads are not the packet's"
    return "cut"


def _in_place(packet: bytes, piece: bytes) -> str:
    if len(packet) != len(piece):
        return f"WRONG: {len(packet)} bytes became {len(piece)}"
    places = [i for i in range(len(packet)) if packet[i] != piece[i]]
    runs = [i for i in places if i - 1 not in places]
    if len(places) <= 2 * len(runs) and len(runs) <= 4:
        return "checksum completed"
    return f"WRONG: {len(places)} bytes changed in place"


def headers_of_pieces(whole: bytes, pieces: Sequence[bytes]) -> int | None:
    """How many bytes of headers make the pieces' payloads, put together, the whole's payload.

    The whole may have other headers: a jumbo payload option is not in its segments.
    """
    lengths = [len(one) for one in pieces]
    for hlen in range(1, min(_LONGEST_HEADERS, *lengths) + 1):
        start = len(whole) - sum(lengths) + hlen * len(pieces)
        if not hlen <= start <= hlen + _JUMBO_OPTION:
            continue
        if whole[start:] == b"".join(one[hlen:] for one in pieces):
            return hlen
    return None


def merged(before: Sequence[bytes], after: Sequence[bytes]) -> list[Change]:
    """Every packet of `after` that `before` has not, with what it was made of."""
    left = Counter(after)
    gone = []
    for packet in before:
        if left[packet]:
            left[packet] -= 1
        else:
            gone.append(packet)
    have = Counter(before)
    found = []
    for number, packet in enumerate(after):
        if have[packet]:
            have[packet] -= 1
            continue
        why = "merged" if _take_parts(packet, gone) else "WRONG: made of no packets that are gone"
        found.append(Change(0, range(number + 1, number + 2), why))
    if gone:
        found.append(Change(0, range(0), f"WRONG: {len(gone)} packets are gone"))
    return found


def _take_parts(packet: bytes, gone: list[bytes]) -> bool:
    """Whether the packet is headers and the payloads of some that are gone; takes them away."""
    for hlen in range(28, _LONGEST_HEADERS):
        used = _parts(packet, gone, hlen)
        if used:
            for index in sorted(used, reverse=True):
                del gone[index]
            return True
    return False


def _parts(packet: bytes, gone: list[bytes], hlen: int) -> list[int]:
    at, used = hlen, []
    # Which of equal packets are gone is not known, so that a part may stand before the ones it is
    # put behind.
    for index, one in [*enumerate(gone[:_WINDOW])] * 2:
        if index in used:
            continue
        payload = one[hlen:]
        if payload and one[:2] == packet[:2] and packet.startswith(payload, at):
            used.append(index)
            at += len(payload)
            if at == len(packet):
                return used if len(used) > 1 else []
    return []
