#!/usr/bin/env python3
"""Checks that every file includes only what its layer may see. Exit 1 and one line per offence otherwise."""

import pathlib
import re
import sys

# Each layer may include itself and these.
ALLOWED = {
    "core": set(),
    "kernels": {"core"},
    "parallel": {"core"},
    "models": {"core", "kernels"},
    "mcmc": {"core", "kernels", "models", "parallel"},
    "estimate": {"core", "parallel"},
    "train": {"core", "kernels", "models", "parallel", "mcmc", "estimate"},
    "io": {"core"},
}
# Outside headers that only some layers may include.
RESTRICTED = {
    r"tbb/|oneapi/": {"parallel"},
    r"(.*/)?hdf5\.h$|H5": {"io"},
    r"(thread|mutex|atomic|future|condition_variable)$": {"parallel"},
    r"(zip|zlib|png)\.h$": {"io"},
    r"toml": {"apps"},
    r"mpi\.h": {"parallel"},
    r"CLI/": {"apps"},
    r"nlohmann/": {"apps"},
    r"hwy/": {"kernels"},
    r"iostream": {"apps"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]')


def offences(root: pathlib.Path):
    for path in sorted(root.rglob("*.?pp")):
        relative = path.relative_to(root)
        parts = relative.parts
        if parts[0] == "include":
            layer = parts[2]
        elif parts[0] == "src":
            layer = parts[1]
        elif parts[0] == "apps":
            layer = "apps"
        else:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            header = match[1]
            if ".." in header.split("/"):
                yield f"{relative}:{number}: include by layer, not by path: {header}"
            own = re.match(r"tempera/(\w+)/", header)
            if own and layer != "apps" and own[1] != layer and own[1] not in ALLOWED[layer]:
                yield f"{relative}:{number}: layer '{layer}' must not include '{own[1]}'"
            for pattern, layers in RESTRICTED.items():
                if re.match(pattern, header) and layer not in layers:
                    yield f"{relative}:{number}: layer '{layer}' must not include <{header}>"


def main():
    found = list(offences(pathlib.Path(__file__).resolve().parent.parent))
    print("\n".join(found) if found else "layers: every include points down")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
