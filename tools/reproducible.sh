#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# reproducible.sh DEBS - builds the packages in DEBS, which tools/deb.sh made of this tree, a second time, in a
# folder of another name and length, and compares them byte for byte.
set -eu

tools=$(cd "$(dirname "$0")" && pwd)
first=$(cd "$1" && pwd)
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"$tools/deb.sh" "$room/a-folder-of-another-name" >/dev/null
differ=0
for deb in "$first"/*.deb; do
    name=$(basename "$deb")
    if cmp -s "$deb" "$room/a-folder-of-another-name/$name"; then
        echo "reproducible: $(sha256sum "$deb" | cut -c1-64)  $name"
    else
        echo "reproducible: DIFFERS: $name"
        differ=1
    fi
done
exit "$differ"
