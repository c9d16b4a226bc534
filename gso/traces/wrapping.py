"""JSON that tools put around the lines of a log, or that was spread over lines, made lines again.

    {"MESSAGE":"skb len=1544 ...","_TRANSPORT":"kernel"}       journalctl -o json
    {"log":"0xffff88... \\u003cempty\\u003e:0\\n","stream":"stdout"}    Docker's json-file
    time="2026-11-28T05:17:01Z" level=info msg="skb len=1544 ..."     logfmt
    {"type": "printf", "data": "skb=0xffff88... len=1544\\n"}         bpftrace -f json
    {"stream":{"app":"x"},"values":[["1764307021000000000","skb len=1544 ..."]]}    Loki

A block has as many lines afterwards as before, but for an array in one line (jq -c, or what many
services answer) and a message of several lines: there each element, and each line, becomes one.
"""

from __future__ import annotations

import json
import re

__all__ = ["unwrapped"]

_NAMES = ("MESSAGE", "log", "message", "msg")
_MORE_NAMES = (
    *("line", "text", "body", "content", "short_message", "full_message", "textPayload", "_raw"),
    *("LogMessage", "stringValue", "stdout_lines", "values"),
)
"""Members that have a message, or several in an array, where there is none of `_NAMES`."""
_OF_BPFTRACE = ("printf", "attached_probes", "lost_events")
_QUOTED = tuple(f'"{name}"'.encode() for name in (*_NAMES, *_MORE_NAMES, *_OF_BPFTRACE))
# One that is not closed was cut off, which the scanner counts.
_ARRAY = re.compile(rb"(?m)^\[[ \t]*(\{[^\n]*\})[ \t]*\][ \t\r]*$")
_STRINGS = re.compile(rb'(?m)^(\["[^\n]*\]|"[^\n]*")[ \t\r]*$')
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_LOGFMT = re.compile(rb'(?:^|[ \t])(?:msg|MESSAGE)=("(?:[^"\\]|\\.)*")')
_MORE_KEYS = re.compile(rb"(?:[ \t]+\w+=\S*)*[ \t\r]*")
_EVENT = ("skb", "func")
_AFTER = "]} \t\r,"
"""What may stand after an object in its line: the ends of others, in which it is."""
_DECODER = json.JSONDecoder()


def unwrapped(block: bytes) -> bytes:
    """Return a block of lines in which messages stand for the objects that they were members of."""
    if b"[{" in block or b"[ {" in block:
        block = _ARRAY.sub(_elements, block)
    if b"{" in block and any(name in block for name in _QUOTED):
        block = b"\n".join(map(_unwrapped_line, block.split(b"\n")))
    if b'"' in block:
        block = _STRINGS.sub(_unwrapped_strings, block)
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


def _unwrapped_strings(line: re.Match[bytes]) -> bytes:
    """Return the text of a line that is a string of JSON, or an array of strings."""
    try:
        found = json.loads(line[1])
    except (ValueError, RecursionError):
        return line[0]
    texts = _texts([found] if isinstance(found, str) else found)
    return b"\n".join(map(_line, texts)) or line[0]


def _message_of_logfmt(line: bytes) -> bytes:
    """Return the message of a line of key=value, or the line where there is none."""
    found = list(_LOGFMT.finditer(line))
    # Others need not be tried: time would grow with the square of a line of many beginnings.
    for message in (*found[:1], *found[-1:]):
        if _MORE_KEYS.fullmatch(line, message.end()):
            try:
                return b"\n".join(map(_line, _texts(json.loads(message[1])))) or line
            except ValueError:  # its escapes are not those of JSON
                return line
    return line


def _unwrapped_line(line: bytes) -> bytes:
    """Return the messages of the object that ends a line, or the line where there are none."""
    if not any(name in line for name in _QUOTED):
        return line
    # The parser takes time in proportion to the line, whatever is in it.
    for start in dict.fromkeys((line.find(b"{"), line.find(b'{"'))):
        messages = _messages_from(line[start:]) if start >= 0 else None
        if messages is not None:
            return b"\n".join(map(_line, messages))
    return line


def _messages_from(line: bytes) -> list[bytes] | None:
    """Return the messages of the object with which a line begins; None where there are none."""
    try:
        text = line.decode()
        found, end = _DECODER.raw_decode(text)
        return None if text[end:].strip(_AFTER) else _messages(found)
    except (ValueError, RecursionError):
        return None


def _line(message: bytes) -> bytes:
    """Return a message; one of several lines stays so, and numbers of lines count them."""
    return message.replace(b"\r", b"")


def _messages(found: object) -> list[bytes] | None:
    """Return the texts of the first messages in an object, None for one that is an event itself."""
    if isinstance(found, list):
        of_each = [one for one in map(_messages, found) if one is not None]
        return [text for texts in of_each for text in texts] if of_each else None
    if not isinstance(found, dict) or any(name in found for name in _EVENT):
        return None
    if found.get("type") in _OF_BPFTRACE:
        return _of_bpftrace(found["type"], found.get("data"))
    for names in (_NAMES, _MORE_NAMES):
        for name, value in found.items():
            if name in names and (texts := _texts(value)):
                return texts
    nested = map(_messages, found.values())
    return next((texts for texts in nested if texts is not None), None)


def _of_bpftrace(kind: str, data: object) -> list[bytes]:
    """Return a line of `bpftrace -f json` as it is without the option."""
    if kind == "printf" or not isinstance(data, dict):
        return _texts(data)
    if kind == "lost_events":
        return [f"Lost {data.get('events')} events".encode()]
    return [f"Attaching {data.get('probes')} probes...".encode()]


def _texts(value: object) -> list[bytes]:
    """Return messages; the journal writes one that is no UTF-8 as a list of its bytes.

    Loki has pairs of a time and a text.
    """
    try:
        if isinstance(value, str):
            return [value.encode().strip(b"\r\n")]
        if not isinstance(value, list):
            return []
        if all(isinstance(one, str) for one in value):
            return [one.encode().strip(b"\r\n") for one in value]
        if all(isinstance(one, list) and len(one) > 1 and isinstance(one[1], str) for one in value):
            return [one[1].encode().strip(b"\r\n") for one in value]
        return [bytes(value).strip(b"\r\n")]
    except (ValueError, TypeError):  # surrogates, and what are no bytes
        return []
