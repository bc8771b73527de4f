#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# deb.sh OUT - builds the Debian packages of what git knows of this tree, as it is now, in OUT/build, and
# leaves them in OUT. Nothing of the folder's name is in them: two builds of one tree, anywhere, have the
# same bytes (tools/reproducible.sh shows it). SOURCE_DATE_EPOCH is the day of debian/changelog.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
version=$(dpkg-parsechangelog -l "$root/debian/changelog" -S Version)
rm -rf "$out/build"
find "$out" -maxdepth 1 -type f \( -name '*.deb' -o -name '*.buildinfo' -o -name '*.changes' -o -name '*.log' \) -delete
mkdir -p "$out/build/weir-$version"
cd "$root"
if git rev-parse --git-dir >/dev/null 2>&1; then
    git ls-files -z | xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' - |
        tar -c --null -T - | tar -x -C "$out/build/weir-$version"
else
    tar -c --exclude=./build . | tar -x -C "$out/build/weir-$version"
fi
cd "$out/build/weir-$version"
# A file's time is in a package: the day of the version, not that on which this copy was made.
find . -exec touch -h -d "@$(dpkg-parsechangelog -S Timestamp)" {} +
if ! env -u MAKEFLAGS -u MAKELEVEL dpkg-buildpackage -us -uc -b >"$out/build.log" 2>&1; then
    tail -n 40 "$out/build.log" >&2
    echo "deb: dpkg-buildpackage failed (above); the whole log is $out/build.log" >&2
    exit 1
fi
mv "$out"/build/*.deb "$out"/build/*.changes "$out"/build/*.buildinfo "$out"
rm -rf "$out/build"
ls "$out"/*.deb
