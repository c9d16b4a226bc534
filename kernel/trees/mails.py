"""Patches out of mails: one as ``git format-patch`` writes it, or a series as lore gives it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.policy import Compat32

from gso.kernel.errors import UsageError

# None of these goes back over a line more than once, whatever is in it.
_FROM = re.compile(rb"^From (?=\S)[^\n]*", re.MULTILINE)
_LINE = re.compile(rb"[^\n]*\n?")
_FIELD = re.compile(rb"[!-9;-~]+:")
_TAG = re.compile(r"^\[([^\]]*)\]")
_DIFF = re.compile(rb"^(?:diff --git |--- (?=\S)[^\n]*\n\+\+\+ )", re.MULTILINE)
_LONGEST_SUBJECT, _LONGEST_TYPE = 2000, 4096
_MOST_DIGITS = 4
_MOST_MULTIPARTS = 100


class _Limited(Compat32):
    """Reads mails as usual, but no long Content-Type: its parameters take time by the square."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        if name.lower() == "content-type" and len(value) > _LONGEST_TYPE:
            raise ValueError(f"its {name} has {len(value)} characters")
        return name, value


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
    first = _FROM.match(text)
    return (first is not None and _is_separator(first)) or b"subject" in _fields(text, 0)


def _is_separator(line: re.Match[bytes]) -> bool:
    """Say whether a line that begins with "From" ends with a year, as an mbox has it."""
    year = line[0].rstrip(b"\r")[-4:]
    return len(line[0]) > len(b"From 2026") and year.isdigit()


def _fields(text: bytes, start: int) -> set[bytes]:
    """Return the names of the header fields there, in lower case; none if it is no header."""
    names: set[bytes] = set()
    while line := _LINE.match(text, start):
        start = line.end()
        field = _FIELD.match(line[0])
        if field:
            names.add(field[0][:-1].lower())
        elif not names or not line[0].strip():
            break
        elif line[0][:1] not in b" \t":
            return set()
    ended = line is not None and line[0].endswith(b"\n") and not line[0].strip()
    return names if ended else set()


def read(name: str, text: bytes) -> Series:
    """Return the patches in their order; replies, cover letters and old versions are noted."""
    mails = [_parse(name, part) for part in _split(text)]
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
    missing = [n for n in range(1, total + 1) if n not in numbered]
    # One patch of a series, saved alone, is meant alone.
    if missing and len(mails) > 1:
        which = ", ".join(map(str, missing[:10])) + " ..." * (len(missing) > 10)
        raise UsageError(f"{name}: patch {which} of {total} is missing")
    return [numbered[number] for number in sorted(numbered)]


def _split(text: bytes) -> list[bytes]:
    starts = [m for m in _FROM.finditer(text) if _is_separator(m) and _is_start(text, m)]
    if not starts:
        return [text]
    ends = [match.start() for match in starts[1:]] + [len(text)]
    parts = [text[m.end() : end].lstrip(b"\r\n") for m, end in zip(starts, ends, strict=True)]
    # An mbox puts ">" before a line of the body that looks like a separator.
    return [re.sub(rb"(?m)^>(?=>*From )", b"", part) for part in parts]


def _is_start(text: bytes, match: re.Match[bytes]) -> bool:
    """Say whether headers follow: a line of a message may begin with "From" too."""
    start = match.end()
    while text[start : start + 1] in (b"\r", b"\n"):
        start += 1
    return bool(_fields(text, start))


def _parse(name: str, raw: bytes) -> _Mail:
    if len(re.findall(rb"(?i)multipart/", raw)) > _MOST_MULTIPARTS:
        raise UsageError(f"{name}: a mail has more than {_MOST_MULTIPARTS} nested parts")
    try:
        message = message_from_bytes(raw, policy=_Limited())
        subject = _subject(message)
        body = _body(message)
    except (MessageError, LookupError, ValueError, RecursionError) as error:
        raise UsageError(f"{name}: a mail cannot be read: {error}") from None
    tag = _TAG.match(subject)
    words = tag[1] if tag else ""
    if re.search(rf"\d{{{_MOST_DIGITS + 1}}}", words):
        raise UsageError(f"{name}: no series has so many patches: {subject[:80]!r}")
    number = re.search(r"(\d{1,4})/(\d+)", words)
    version = re.search(r"\bv(\d+)\b", words)
    return _Mail(
        subject,
        int(version[1]) if version else 1,
        int(number[1]) if number else None,
        int(number[2]) if number else None,
        body,
    )


def _subject(message: Message) -> str:
    """Return the subject, decoded; raise if it cannot be: it tells replies and old versions."""
    raw = str(message.get("Subject", ""))
    if len(raw) > _LONGEST_SUBJECT:
        raise ValueError(f"its subject has {len(raw)} characters")
    return " ".join(str(make_header(decode_header(raw))).split())


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
