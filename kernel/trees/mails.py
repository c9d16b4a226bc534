"""Patches out of mails: one as ``git format-patch`` writes it, or a series as lore gives it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message

from gso.kernel.errors import UsageError

_SEPARATOR = re.compile(rb"^From \S+.*\d{4}\r?$", re.MULTILINE)
_HEADER = re.compile(rb"\A(?:[!-9;-~]+:[ \t].*\r?\n(?:[ \t].*\r?\n)*)+\r?\n")
_TAG = re.compile(r"^\[([^\]]*)\]")
_DIFF = re.compile(rb"^(?:diff --git |--- \S+.*\n\+\+\+ )", re.MULTILINE)


@dataclass(frozen=True)
class Series:
    """The bodies that hold the patches, in order, and what was left out."""

    parts: list[bytes]
    notes: list[str]


@dataclass(frozen=True)
class _Mail:
    subject: str
    version: int
    number: int | None
    total: int | None
    body: bytes

    @property
    def reply(self) -> bool:
        return re.match(r"(?i)(?:re|aw|fwd?):", self.subject) is not None

    @property
    def has_diff(self) -> bool:
        return _DIFF.search(self.body) is not None


def is_mail(text: bytes) -> bool:
    """Say whether the file is an mbox or a single mail, and not a bare diff."""
    head = _HEADER.match(text)
    return _SEPARATOR.match(text) is not None or (
        head is not None and re.search(rb"(?im)^subject:", head[0]) is not None
    )


def read(name: str, text: bytes) -> Series:
    """Return the patches in their order; replies, cover letters and old versions are noted."""
    mails = [_parse(part) for part in _split(text)]
    notes = []
    wanted = []
    for mail in mails:
        if mail.number == 0 and not mail.has_diff:
            notes.append(f"{name}: {mail.subject!r} is a cover letter")
        elif mail.reply or not mail.has_diff:
            notes.append(f"{name}: {mail.subject!r} holds no patch: left out")
        else:
            wanted.append(mail)
    if not wanted:
        raise UsageError(f"{name}: no patch among {len(mails)} mails")
    newest = max(mail.version for mail in wanted)
    notes += [
        f"{name}: {mail.subject!r} is older than version {newest}: left out"
        for mail in wanted
        if mail.version < newest
    ]
    return Series([m.body for m in _ordered(name, wanted, newest)], notes)


def _ordered(name: str, mails: list[_Mail], version: int) -> list[_Mail]:
    mails = [mail for mail in mails if mail.version == version]
    numbered = {mail.number: mail for mail in mails if mail.number is not None}
    if not numbered:
        return mails
    if len(numbered) < len(mails):
        raise UsageError(f"{name}: some of the {len(mails)} patches have no number of their own")
    total = max(mail.total or 0 for mail in mails)
    missing = [str(n) for n in range(1, total + 1) if n not in numbered]
    # One patch of a series, saved alone, is meant alone.
    if missing and len(mails) > 1:
        raise UsageError(f"{name}: patch {', '.join(missing)} of {total} is missing")
    return [numbered[number] for number in sorted(numbered)]


def _split(text: bytes) -> list[bytes]:
    starts = [m for m in _SEPARATOR.finditer(text) if _is_start(text, m)]
    if not starts:
        return [text]
    ends = [match.start() for match in starts[1:]] + [len(text)]
    parts = [text[m.end() : end].lstrip(b"\r\n") for m, end in zip(starts, ends, strict=True)]
    # An mbox puts ">" before a line of the body that looks like a separator.
    return [re.sub(rb"(?m)^>(>*From )", rb"\1", part) for part in parts]


def _is_start(text: bytes, match: re.Match[bytes]) -> bool:
    """Say whether headers follow: a line of a message may begin with "From" too."""
    return _HEADER.match(text[match.end() :].lstrip(b"\r\n")) is not None


def _parse(raw: bytes) -> _Mail:
    message = message_from_bytes(raw)
    subject = " ".join(str(make_header(decode_header(message.get("Subject", "")))).split())
    tag = _TAG.match(subject)
    number = re.search(r"(\d+)/(\d+)", tag[1]) if tag else None
    version = re.search(r"\bv(\d+)\b", tag[1]) if tag else None
    return _Mail(
        subject,
        int(version[1]) if version else 1,
        int(number[1]) if number else None,
        int(number[2]) if number else None,
        _body(message),
    )


def _body(message: Message) -> bytes:
    """Return all text of a mail, decoded; a patch may be an attachment."""
    texts = []
    for part in message.walk():
        if part.get_content_maintype() == "text" and part.get_content_subtype() != "html":
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                texts.append(payload)
    body = b"\n".join(texts)
    # Mail ends its lines with CRLF; a kernel file has none.
    return body.replace(b"\r\n", b"\n") if body.count(b"\r\n") == body.count(b"\n") else body
