#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# release.sh VERSION OUT - a release of the last commit, made in a clone of it: checked, tagged, with its archive,
# packages, bill of materials, notes and their sums in OUT. Nothing leaves this machine, and the repository it
# is called in is not changed. WEIR_RELEASE=quick leaves out `make check` and the packages, to see the rest.
set -eu

version=${1:-}
out=$2
root=$(cd "$(dirname "$0")/.." && pwd)
say() { echo "release: $*"; }
fail() { echo "release: $*" >&2; exit 1; }

cd "$root"
[ -n "$version" ] || fail "which one? make release VERSION=0.1.0"
[ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed"
there=$(sed -n 's/^project(weir VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
[ "$there" = "$version" ] || fail "CMakeLists.txt says $there, not $version"
there=$(sed -n '1s/^weir (\([^)]*\)).*/\1/p' debian/changelog)
[ "$there" = "$version" ] || fail "debian/changelog says $there, not $version"
notes=$(awk -v version="$version" '/^## /{ on = ($2 == version); next } on' CHANGELOG.md)
[ -n "$(printf '%s' "$notes" | tr -d ' \n')" ] || fail "CHANGELOG.md says nothing of $version"
! git rev-parse -q --verify "refs/tags/v$version" >/dev/null || fail "the tag v$version is there already"

rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)
git clone -q "$root" "$out/clone"
cd "$out/clone"
if [ "${WEIR_RELEASE:-}" != quick ]; then
    make check
    /usr/bin/python3 -B tools/abi.py --renew
    git diff --quiet -- abi || { cp abi/weir.abi "$root/abi/weir.abi"; fail "the interface has grown: commit abi/weir.abi, then again"; }
    make deb
    cp build/deb/*.deb "$out"
    /usr/bin/python3 -B tools/sbom.py build/release/weir "$out/weir-$version.spdx.json"
fi
git -c user.name="weir developers" -c user.email="dev@weir.invalid" tag -a "v$version" -m "weir $version"
git archive --prefix="weir-$version/" -o "$out/weir-$version.tar" "v$version"
gzip -9 -n "$out/weir-$version.tar"
printf '# weir %s\n%s\n' "$version" "$notes" >"$out/NOTES.md"
(cd "$out" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%f\n' | sort | xargs sha256sum >SHA256SUMS)
say "$version is in $out:"
(cd "$out" && find . -maxdepth 1 -type f -printf '    %f\n' | sort)
say "the tag: git fetch $out/clone refs/tags/v$version:refs/tags/v$version"
