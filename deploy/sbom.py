"""Write the image's bill of materials (CycloneDX 1.6) from its locked packages.

    python deploy/sbom.py [FILE]

FILE is `deploy/sbom.cdx.json`, which the Dockerfile copies into the image; a test compares it with
a new bill. It leaves out Python itself and the base image's packages: the builder adds those with
BuildKit's `--sbom=true`.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
_IN_THE_IMAGE = {
    "sys_platform": "linux",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}
_BUILDS_ONLY = {"setuptools"}  # uninstalled after it has built the package


class Locked(NamedTuple):
    """A package of a lock."""

    name: str
    version: str
    hashes: tuple[str, ...]  # SHA-256 of each of its files, in hex
    wanted_by: tuple[str, ...]  # packages that need it
    installed: bool  # whether the image has it


def locked(text: str) -> Iterator[Locked]:
    """Parse the packages of a lock that `make lock` wrote."""
    for block in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]:
        requirement = Requirement(block.partition(" \\")[0])
        [pin] = requirement.specifier
        marker = requirement.marker
        yield Locked(
            name=requirement.name,
            version=pin.version,
            hashes=tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", block)),
            wanted_by=tuple(re.findall(r"^    # (?:via|  ) ?([a-z0-9][a-z0-9.-]*)", block, re.M)),
            installed=requirement.name not in _BUILDS_ONLY
            and (marker is None or marker.evaluate(_IN_THE_IMAGE)),
        )


def bill(lock: str, project: dict[str, str]) -> str:
    """Make the bill as JSON; equal locks give equal bills.

    Args:
        lock: its text.
        project: `name`, `version`, `license` and `description`, as in pyproject.toml.
    """
    packages = list(locked(lock))
    root = Component(
        name=project["name"],
        version=project["version"],
        description=project["description"],
        type=ComponentType.APPLICATION,
        licenses=[LicenseExpression(project["license"])],
        bom_ref=project["name"],
    )
    components = {one.name: _component(one) for one in packages} | {root.name: root}
    bom = Bom(
        components=[components[one.name] for one in packages],
        metadata=BomMetaData(component=root),
        serial_number=uuid5(NAMESPACE_OID, lock),
    )
    for name, component in components.items():
        needed = [components[one.name] for one in packages if name in one.wanted_by]
        bom.register_dependency(component, needed)
    bom.metadata.timestamp = None  # type: ignore[assignment]
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _component(package: Locked) -> Component:
    url = PackageURL("pypi", name=package.name, version=package.version)
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(url.to_string()),
        comment="its files: the installed file has one of these hashes",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in package.hashes],
    )
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        scope=ComponentScope.REQUIRED if package.installed else ComponentScope.EXCLUDED,
        purl=url,
        bom_ref=package.name,
        external_references=[files],
    )


def made() -> str:
    """Make the bill of this checkout."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    return bill((HERE / "image.lock").read_text("utf-8"), project)


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=HERE / "sbom.cdx.json")
    file = parser.parse_args().file
    file.write_text(made(), encoding="utf-8")
    print(file)


if __name__ == "__main__":
    main()
