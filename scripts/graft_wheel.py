#!/usr/bin/env python3
"""Completes a wheel that auditwheel has repaired: what it leaves to the system although it may not be there.

Cairo draws by way of X's client libraries where it is asked to, which it is not here, but it cannot be loaded without them. They are
taken for granted by the policy of manylinux, and absent from many containers. This adds them beside the other libraries.
"""

import pathlib
import subprocess
import sys
import tempfile

TAKEN_FOR_GRANTED = ("libX11.so.6", "libXext.so.6", "libXrender.so.1")


def needed(path):
    return subprocess.run(["patchelf", "--print-needed", path], check=True, capture_output=True, text=True).stdout.split()


def places():
    """Libraries of this machine by their names."""
    found = {}
    for line in subprocess.run(["/sbin/ldconfig", "-p"], check=True, capture_output=True, text=True).stdout.splitlines():
        name, _, path = line.strip().partition(" ")
        if "=>" in path and "x86-64" in path or "AArch64" in path:
            found.setdefault(name, path.split("=> ")[1])
    return found


def main():
    wheel, out = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "wheel", "unpack", "-d", folder, wheel], check=True, stdout=subprocess.DEVNULL)
        tree = next(pathlib.Path(folder).iterdir())
        libraries = next(tree.glob("*.libs"))
        # auditwheel gives libraries names of their own: libxcb-1a2b3c4d.so.1.1.0.
        renamed = {}
        for path in libraries.iterdir():
            renamed.setdefault(path.name.split("-")[0] if "-" in path.name else path.name.split(".")[0], path.name)
        where = places()
        left = [name for name in TAKEN_FOR_GRANTED if any(name in needed(path) for path in libraries.iterdir())]
        done = set()
        while left:
            name = left.pop()
            if name in done:
                continue
            done.add(name)
            copy = libraries / name
            copy.write_bytes(pathlib.Path(where[name]).read_bytes())
            copy.chmod(0o755)
            subprocess.run(["patchelf", "--force-rpath", "--set-rpath", "$ORIGIN", copy], check=True)
            for other in needed(copy):
                stem = other.split(".so")[0]
                if stem in renamed:
                    subprocess.run(["patchelf", "--replace-needed", other, renamed[stem], copy], check=True)
                elif other not in ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "ld-linux-x86-64.so.2"):
                    left.append(other)
        subprocess.run([sys.executable, "-m", "wheel", "pack", "-d", out, tree], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
