#!/usr/bin/env bash
# Installs the build tree given, builds a program that knows only the installation, and runs both.
set -eu
build=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" > /dev/null
cmake -S "$here/consumer" -B "$work/consumer" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" > /dev/null
cmake --build "$work/consumer" > "$work/log" || { cat "$work/log"; exit 1; }
"$work/consumer/consumer" "$work/run" > "$work/said"
cat "$work/said"
test "$(grep -cE '^(800 updates|log Z |200 samples: |64 visible units)' "$work/said")" -eq 4
test -s "$work/run/samples.h5"
"$work/prefix/bin/tempera" --version
test -s "$work/prefix/share/tempera/digits.h5"
