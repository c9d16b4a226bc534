"""JSON that tools put around the lines of a log, or that was spread over lines, made lines again.

    {"MESSAGE":"skb len=1544 ...","_TRANSPORT":"kernel"}       journalctl -o json
    {"log":"0xffff88... \\u003cempty\\u003e:0\\n","stream":"stdout"}    Docker's json-file
    time="2026-11-28T05:17:01Z" level=info msg="skb len=1544 ..."     logfmt
    {"type": "printf", "data": "skb=0xffff88... len=1544\\n"}         bpftrace -f json

A block has as many lines afterwards as before, but for an array in one line (jq -c): there each
element becomes a line.
"""

from __future__ import annotations

import json
import re

__all__ = ["unwrapped"]

_NAMES = ("MESSAGE", "log", "message", "msg")
_OF_BPFTRACE = ("printf", "attached_probes", "lost_events")
_QUOTED = tuple(f'"{name}"'.encode() for name in (*_NAMES, *_OF_BPFTRACE))
# One that is not closed was cut off, which the scanner counts.
_ARRAY = re.compile(rb"(?m)^\[[ \t]*(\{[^\n]*\})[ \t]*\][ \t\r]*$")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_LOGFMT = re.compile(rb'(?:^|[ \t])(?:msg|MESSAGE)=("(?:[^"\\]|\\.)*")')
_MORE_KEYS = re.compile(rb"(?:[ \t]+\w+=\S*)*[ \t\r]*")
_EVENT = ("skb", "func")
_DECODER = json.JSONDecoder()


def unwrapped(block: bytes) -> bytes:
    """Return a block of lines in which messages stand for the objects that they were members of."""
    if b"[{" in block or b"[ {" in block:
        block = _ARRAY.sub(_elements, block)
    if b"{" in block and any(name in block for name in _QUOTED):
        block = b"\n".join(map(_unwrapped_line, block.split(b"\n")))
    if b'msg="' in block or b'MESSAGE="' in block:
        block = b"\n".join(map(_message_of_logfmt, block.split(b"\n")))
    return block


def _elements(match: re.Match[bytes]) -> bytes:
    """Return an array with each of its elements in a line; as it is where it is no JSON."""
    try:
        text = match[1].decode()
        elements, at = [], 0
        while at < len(text):
            _, end = _DECODER.raw_decode(text, at)
            elements.append(text[at:end])
            comma = _COMMA.match(text, end)
            at = comma.end() if comma else len(text)
            if not comma and end < len(text):
                return match[0]
    except (ValueError, RecursionError):
        return match[0]
    return "[\n{}\n]".format(",\n".join(elements)).encode()


def _message_of_logfmt(line: bytes) -> bytes:
    """Return the message of a line of key=value, or the line where there is none."""
    found = list(_LOGFMT.finditer(line))
    # Others need not be tried: time would grow with the square of a line of many beginnings.
    for message in (*found[:1], *found[-1:]):
        if _MORE_KEYS.fullmatch(line, message.end()):
            try:
                return _line(_text(json.loads(message[1]))) or line
            except ValueError:  # its escapes are not those of JSON
                return line
    return line


def _unwrapped_line(line: bytes) -> bytes:
    """Return the message of the object that ends a line, or the line where there is none."""
    start = line.find(b"{")
    if start < 0 or not any(name in line for name in _QUOTED):
        return line
    # The parser takes time in proportion to the line, whatever is in it.
    try:
        text = line[start:].decode()
        found, end = _DECODER.raw_decode(text)
        message = None if text[end:].strip() else _message(found)
    except (ValueError, RecursionError):
        return line
    return line if message is None else _line(message)


def _line(message: bytes | None) -> bytes:
    """Return a message in one line; the kernel's scanner takes several in it apart again."""
    return (message or b"").replace(b"\r", b"").replace(b"\n", b"#012")


def _message(found: object) -> bytes | None:
    """Return the text of the first message in an object, None for one that is an event itself."""
    if not isinstance(found, dict) or any(name in found for name in _EVENT):
        return None
    if found.get("type") in _OF_BPFTRACE:
        return _of_bpftrace(found["type"], found.get("data"))
    for name, value in found.items():
        message = _text(value) if name in _NAMES else _message(value)
        if message is not None:
            return message
    return None


def _of_bpftrace(kind: str, data: object) -> bytes | None:
    """Return a line of `bpftrace -f json` as it is without the option."""
    if kind == "printf" or not isinstance(data, dict):
        return _text(data)
    if kind == "lost_events":
        return f"Lost {data.get('events')} events".encode()
    return f"Attaching {data.get('probes')} probes...".encode()


def _text(value: object) -> bytes | None:
    """Return a message; the journal writes one that is no UTF-8 as a list of its bytes."""
    try:
        if isinstance(value, str):
            return value.encode().strip(b"\r\n")
        return bytes(value).strip(b"\r\n") if isinstance(value, list) else None
    except (ValueError, TypeError):  # surrogates, and what are no bytes
        return None
