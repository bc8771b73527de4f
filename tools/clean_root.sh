#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# clean_root.sh ROOM [PACKAGE...] - a minimal Debian 12 in the folder ROOM, as debootstrap makes it. It is
# made once and kept as an archive under WEIR_CACHE (else ~/.cache/weir); the packages named are added to the
# copy. The mirror is debootstrap's own, or WEIR_MIRROR. Root is needed.
set -eu

room=$1
shift
cache=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
kept=$cache/bookworm.tar
if [ "$(id -u)" -ne 0 ]; then
    echo "clean_root: root is needed" >&2
    exit 1
fi
if [ ! -e "$kept" ]; then
    mkdir -p "$cache"
    made=$(mktemp -d "$cache/making.XXXXXX")
    echo "clean_root: debootstrap, some minutes, once" >&2
    if ! debootstrap --variant=minbase bookworm "$made" ${WEIR_MIRROR:-} >"$cache/debootstrap.log" 2>&1; then
        tail -n 20 "$cache/debootstrap.log" >&2
        rm -rf "$made"
        exit 1
    fi
    chmod 755 "$made"
    tar -C "$made" -c --exclude=./proc/* --exclude=./sys/* --exclude=./dev/* -f "$kept.new" .
    mv "$kept.new" "$kept"
    rm -rf "$made"
fi
mkdir -p "$room"
tar -C "$room" -x -f "$kept"
mkdir -p "$room/dev" "$room/proc" "$room/sys"
[ -e "$room/dev/null" ] || mknod -m 666 "$room/dev/null" c 1 3
[ -e "$room/dev/urandom" ] || mknod -m 444 "$room/dev/urandom" c 1 9
cp /etc/resolv.conf "$room/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$room/usr/sbin/policy-rc.d"
chmod 755 "$room/usr/sbin/policy-rc.d"
# What apt is told about mirrors and proxies on this machine is true for the room, too.
for file in /etc/apt/apt.conf.d/*proxy*; do
    [ ! -e "$file" ] || cp "$file" "$room/etc/apt/apt.conf.d/"
done
if [ $# -gt 0 ]; then
    chroot "$room" sh -c 'apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"' - "$@" \
        >"$room/var/log/clean_root.log" 2>&1 || { tail -n 20 "$room/var/log/clean_root.log" >&2; exit 1; }
fi
