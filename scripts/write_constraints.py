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


def main() -> None:
    found: dict[str, str] = {}
    closure("luthier", ("", "dev", "nf4"), found)
    del found["luthier"]
    lines = ["# Exact versions of all that luthier and its tests need. Written by: make constraints"]
    lines += [f"{name}=={version.split('+')[0]}" for name, version in sorted(found.items())]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
