"""Print the exact version of every package that luthier and its tests need, as installed in this environment."""

import sys
from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def closure(name: str, extras: tuple[str, ...], found: dict[str, str]) -> None:
    """Add `name` and all that it requires with these extras to `found`: canonical name -> version."""
    installed = distribution(name)
    found[canonicalize_name(name)] = installed.version
    for line in installed.requires or ():
        requirement = Requirement(line)
        wanted = requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
        if wanted and canonicalize_name(requirement.name) not in found:
            closure(requirement.name, ("", *requirement.extras), found)


def constraints(found: dict[str, str]) -> str:
    """The file: a line for each package, without local parts of versions, in the order that sorting the lines gives."""
    lines = sorted(f"{name}=={version.split('+')[0]}" for name, version in found.items())
    heading = "# Exact versions of all that luthier and its tests need. Written by: make constraints"
    return "\n".join([heading, *lines]) + "\n"


def main() -> None:
    found: dict[str, str] = {}
    closure("luthier", ("", "dev", "nf4"), found)
    del found["luthier"]
    sys.stdout.write(constraints(found))


if __name__ == "__main__":
    main()
