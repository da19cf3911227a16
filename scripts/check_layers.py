#!/usr/bin/env python3
"""Checks that every file includes only what its layer may see, and that no kind of machine is named outside of
models. Exit 1 and one line per offence otherwise."""

import pathlib
import re
import sys

# Each layer may include itself and these.
ALLOWED = {
    "core": set(),
    "kernels": {"core"},
    "parallel": {"core"},
    "models": {"core", "kernels"},
    "diagnostics": {"core", "kernels"},
    "mcmc": {"core", "kernels", "models", "parallel", "diagnostics"},
    "estimate": {"core", "parallel"},
    "train": {"core", "kernels", "models", "parallel", "diagnostics", "mcmc", "estimate"},
    "io": {"core"},
    "services": {"core", "kernels", "models", "parallel", "diagnostics", "mcmc", "estimate", "train", "io"},
}
# Outside headers that only some layers may include.
RESTRICTED = {
    r"tbb/|oneapi/": {"parallel"},
    r"(.*/)?hdf5\.h$|H5": {"io"},
    r"(thread|mutex|atomic|future|condition_variable)$": {"parallel"},
    r"(zip|zlib)\.h$": {"io"},
    r"cairo": {"io"},
    r"toml": {"services"},
    r"mpi\.h": {"parallel"},
    r"mpi\.h$": {"parallel"},
    r"CLI/": {"apps"},
    r"nlohmann/": {"apps", "io", "services"},
    r"httplib": {"apps"},
    r"hwy/": {"kernels"},
    r"iostream": {"apps"},
    r"nanobind/": {"python"},
    r"(csignal|signal\.h)$": {"apps"},
}
# Kinds of machines in string literals: "ssrbm", "bernoulli-rbm", also within a sentence. Their classes are
# those of the list of models.
KIND = re.compile(r"(?<![\w-])(?:(?:[a-z]+-)*(?:ss)?rbm|dbm)(?![\w-])")
MODEL_LIST = "include/tempera/models/all_models.hpp"
LISTED = re.compile(r"^\s*F\((\w+)\)", re.MULTILINE)
# C++ without its comments: string literals (also raw ones), comments, everything else a character at a time.
TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?P<raw>.*?)\)"|"(?P<text>(?:\\.|[^"\\\n])*)"|\'(?:\\.|[^\'\\\n])+\'|(?P<code>\w+)',
                   re.DOTALL)
# Files that are about certain machines by nature.
ABOUT_KINDS = {
    "src/services/foreign_conversion.cpp": "models of other toolkits are restricted machines of binary hidden units",
    "apps/bench.cpp": "times the machines of its table",
    "apps/metric_table.cpp": "metrics beside the exact Fisher matrix, which is enumerated for one machine",
    "apps/metric_table.hpp": "metrics beside the exact Fisher matrix, which is enumerated for one machine",
}
INCLUDE_LINE = re.compile(r"^[ \t]*#[ \t]*include.*$", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]')


def listed_models(root: pathlib.Path):
    """Classes of the list of models; none where the tree has no list."""
    path = root / MODEL_LIST
    return set(LISTED.findall(path.read_text())) if path.exists() else set()


def named_kinds(text: str, classes: set):
    """Line and name of every kind of machine in a C++ source: classes in code, kinds in string literals."""
    text = INCLUDE_LINE.sub("", text)
    for match in TOKEN.finditer(text):
        literal = match["text"] or match["raw"]
        names = KIND.findall(literal) if literal else [match["code"]] if match["code"] in classes else []
        for name in names:
            yield text.count("\n", 0, match.start()) + 1, name


def kind_offences(root: pathlib.Path, path: pathlib.Path, classes: set):
    relative = path.relative_to(root).as_posix()
    if relative in ABOUT_KINDS:
        return
    for line, name in named_kinds(path.read_text(), classes):
        yield f"{relative}:{line}: names the kind of machine '{name}', outside of models"


def offences(root: pathlib.Path):
    classes = listed_models(root)
    for path in sorted(root.rglob("*.?pp")):
        relative = path.relative_to(root)
        parts = relative.parts
        if parts[0] == "include":
            layer = parts[2]
        elif parts[0] == "src":
            layer = parts[1]
        elif parts[0] in ("apps", "python"):
            layer = parts[0]
        else:
            continue
        if layer != "models":
            yield from kind_offences(root, path, classes)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            header = match[1]
            if ".." in header.split("/"):
                yield f"{relative}:{number}: include by layer, not by path: {header}"
            own = re.match(r"tempera/(\w+)/", header)
            if own and layer not in ("apps", "python") and own[1] != layer and own[1] not in ALLOWED[layer]:
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
