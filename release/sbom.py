"""Write the software bill of materials of a release (CycloneDX 1.6), from its files alone.

    python release/sbom.py DIST        (make wheels and the workflow "release" run this)

DIST has the sdist and the wheels of one version. ``pygso-VERSION.cdx.json`` beside them says what
is in the release: the code and the kernel patches with their licences, each file with its hash; and
what is needed beside it. The same files give the same bytes.
"""

from __future__ import annotations

import os
import re
import sys
import uuid
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from email import message_from_bytes
from email.message import Message
from hashlib import sha256
from pathlib import Path

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

from wheels import EXTRAS

PATCHES = "gso/kernel/patches/"
"""Where a wheel has the kernel patches, which are GPL-2.0-only; all else is MIT."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/pygso/")


def main(folder: str) -> None:
    """Write the bill of the release whose files a folder has."""
    dist = Path(folder)
    files = sorted([*dist.glob("*.whl"), *dist.glob("*.tar.gz")])
    wheels = [file for file in files if file.suffix == ".whl"]
    if not wheels:
        raise SystemExit(f"{dist} has no wheel: make wheels builds them")
    about = {file: metadata(file) for file in wheels}
    versions = {str(one["Version"]) for one in about.values()}
    if len(versions) != 1:
        raise SystemExit(f"{dist} has wheels of several versions: {', '.join(sorted(versions))}")
    (version,) = versions
    bill = bill_of(about[wheels[0]], files, patches(wheels[0]))
    target = dist / f"pygso-{version}.cdx.json"
    target.write_text(JsonV1Dot6(bill).output_as_string(indent=2) + "\n", encoding="utf-8")
    print(target)


def metadata(wheel: Path) -> Message:
    """Return what a wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def patches(wheel: Path) -> dict[str, bytes]:
    """Return each kernel patch in a wheel by its name."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name.rpartition("/")[2]: archive.read(name)
            for name in sorted(archive.namelist())
            if name.startswith(PATCHES) and name.endswith(".patch")
        }


def bill_of(about: Message, files: list[Path], diffs: dict[str, bytes]) -> Bom:
    """Return the bill: what is in the release, and what it needs."""
    name, version = str(about["Name"]), str(about["Version"])
    whole = Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=name,
        purl=PackageURL("pypi", name=name, version=version),
        description=about["Summary"],
        licenses=[LicenseExpression(str(about["License-Expression"]))],
        external_references=[_distribution(file) for file in files],
        components=[_code(version), _patches(version, diffs)],
    )
    bill = Bom(serial_number=uuid.uuid5(_NAMESPACE, _digests(files)))
    bill.metadata.timestamp = _time()
    bill.metadata.component = whole
    needed = [*_needed(about)]
    bill.components.update(needed)
    bill.register_dependency(whole, needed)
    return bill


def _time() -> datetime:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "0")
    return datetime.fromtimestamp(int(epoch), tz=timezone.utc)


def _digests(files: list[Path]) -> str:
    return "\n".join(f"{sha256(file.read_bytes()).hexdigest()} {file.name}" for file in files)


def _hash(content: bytes) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=sha256(content).hexdigest())


def _distribution(file: Path) -> ExternalReference:
    return ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(file.name),
        hashes=[_hash(file.read_bytes())],
    )


def _code(version: str) -> Component:
    return Component(
        name="pygso-code",
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref="pygso-code",
        description="The library gso and the test bed gso.kernel",
        licenses=[DisjunctiveLicense(id="MIT")],
    )


def _patches(version: str, diffs: dict[str, bytes]) -> Component:
    return Component(
        name="pygso-kernel-patches",
        version=version,
        type=ComponentType.FILE,
        bom_ref="pygso-kernel-patches",
        description="Diffs of the Linux kernel, which gso-kernel applies to kernel trees",
        licenses=[DisjunctiveLicense(id="GPL-2.0-only")],
        components=[
            Component(name=name, type=ComponentType.FILE, bom_ref=name, hashes=[_hash(diff)])
            for name, diff in diffs.items()
        ],
    )


def _needed(about: Message) -> Iterator[Component]:
    """Yield what users get beside it: what is required, and what their extras ask for."""
    asked: dict[str, list[Requirement]] = {}
    for requirement in map(Requirement, about.get_all("Requires-Dist", [])):
        if _extra(requirement) in ("", *EXTRAS):
            asked.setdefault(requirement.name, []).append(requirement)
    for name, requirements in sorted(asked.items()):
        required = any(not _extra(one) for one in requirements)
        yield Component(
            name=name,
            type=ComponentType.LIBRARY,
            bom_ref=f"requires-{name}",
            purl=PackageURL("pypi", name=name),
            scope=ComponentScope.REQUIRED if required else ComponentScope.OPTIONAL,
            properties=[Property(name="pygso:requires", value=str(one)) for one in requirements],
        )


def _extra(requirement: Requirement) -> str:
    found = re.search(r'extra == "([^"]+)"', str(requirement.marker or ""))
    return found[1] if found else ""


if __name__ == "__main__":
    main(sys.argv[1])
