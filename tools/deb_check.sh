#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# deb_check.sh DEBS - what the packages in the folder DEBS do on a clean Debian 12: lintian, install, start as
# the unit says (tools/supervise.py in systemd's place), serve, rotate logs, fail and come back, drain, upgrade
# with a configuration that was changed, embed, remove, purge. Needs root, the network for what they depend on,
# and tools/clean_root.sh's archive, which it makes once. The second half runs in a network of its own.
set -eu

tools=$(cd "$(dirname "$0")" && pwd)
say() { echo "deb-check: $*"; }
fail() { say "FAILED: $*"; exit 1; }
must() { # WHAT COMMAND...
    what=$1
    shift
    "$@" >"$room/last" 2>&1 || { cat "$room/last"; fail "$what"; }
    say "$what"
}

if [ "${2:-}" != inside ]; then
    debs=$(cd "$1" && pwd)
    room=$(mktemp -d)
    trap 'rm -rf "$room"' EXIT
    must "lintian has nothing to say" lintian --fail-on error,warning "$debs"/*.changes
    must "systemd-analyze verify has nothing to say" "$tools/unit_check.sh"
    root=$room/root
    "$tools/clean_root.sh" "$root"
    mkdir "$root/debs" "$root/next"
    cp "$debs"/*_*.deb "$root/debs"
    rm -f "$root"/debs/*-dbgsym_*
    # The next version: the same files, one number up.
    for deb in "$root"/debs/*.deb; do
        dpkg-deb -R "$deb" "$room/open"
        sed -i 's/^Version: .*/&+next/; s/(= \([0-9.]*\))/(= \1+next)/' "$room/open/DEBIAN/control"
        dpkg-deb --root-owner-group -b "$room/open" "$root/next" >/dev/null
        rm -rf "$room/open"
    done
    # What they depend on comes from the mirror, now; from here on there is no network.
    chroot "$root" sh -c 'apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        ./debs/*.deb logrotate curl gcc pkg-config' >"$room/apt.log" 2>&1 ||
        { tail -n 30 "$room/apt.log"; fail "apt-get install of the four packages"; }
    say "installed: $(chroot "$root" dpkg-query -W -f='${Package} ${Version}, ' weir libweir1 libweir-dev weir-doc)"
    trap - EXIT
    unshare --mount --net --pid --fork "$0" "$root" inside && code=0 || code=$?
    rm -rf "$room"
    exit "$code"
fi

# --- inside: a mount table, a network and processes of its own ----------------------------------------
root=$1
room=$(dirname "$root")
mount --make-rprivate /
mount -t proc proc "$root/proc"
ip link set lo up
in_root() { chroot "$root" "$@"; }
wait_for() { # WHAT COMMAND...: until it succeeds, a minute at most
    what=$1
    shift
    n=0
    until "$@" >"$room/last" 2>&1; do
        n=$((n + 1))
        if [ "$n" -ge 600 ]; then
            cat "$room/last" "$room/service.log"
            fail "$what"
        fi
        sleep 0.1
    done
    say "$what"
}
answers() { [ "$(in_root curl -s -m 5 -o /dev/null -w '%{http_code}' "http://127.0.0.1:8080$1")" = 200 ]; }
ready() { in_root curl -sf -m 5 http://127.0.0.1:9901/readyz; }
logged() { grep -qs "$1" "$root/var/log/weir/access.log"; }
lines() { grep -c "^$1" "$room/service.log" || true; }
said() { [ "$(lines "$1")" -ge "$2" ]; }
start() {
    python3 -B "$tools/supervise.py" "$root" /lib/systemd/system/weir.service >>"$room/service.log" 2>&1 &
    service=$!
}
stop() {
    kill -TERM "$service"
    wait "$service" || { cat "$room/service.log"; fail "SIGTERM did not end it well"; }
}
main() { sed -n 's/^said .*MAINPID=\([0-9]*\).*/\1/p' "$room/service.log" | tail -n 1; }
main_is_not() { [ "$(main)" != "$1" ]; }
pid() { sed -n 's/^started //p' "$room/service.log" | tail -n 1; }
status() { sed -n "s/^$1:[ \t]*//p" "$root/proc/$(pid)/status"; }

: >"$room/service.log"
must "the user weir exists" in_root id weir
must "its configuration is valid" in_root weir check -c /etc/weir/weir.yaml
must "man weir.yaml is there" test -e "$root/usr/share/man/man5/weir.yaml.5.gz"
mkdir -p "$room/www"
echo hello >"$room/www/index.html"
(cd "$room/www" && exec python3 -m http.server --bind 127.0.0.1 3000) >"$room/upstream.log" 2>&1 &
upstream=$!

start
wait_for "it is ready" ready
wait_for "and says so to its supervisor" said "said .*READY=1" 1
wait_for "a request goes through to the upstream" answers /
wait_for "the access log is written" logged '"/"'
[ "$(status Uid | cut -f1)" = "$(in_root id -u weir)" ] || fail "it does not run as weir"
[ "$(status NoNewPrivs)" = 1 ] || fail "it may gain privileges"
[ "$(status CapBnd)" = 0000000000000400 ] || fail "its capabilities: $(status CapBnd)"
say "it runs as weir, with no capability but that for low ports"
[ "$(stat -c '%U %a' "$root/var/log/weir/access.log")" = "$(stat -c %U "$root/var/log/weir") 640" ] || fail "the access log's owner or mode"

# logrotate asks systemd to send SIGUSR1; here it is sent by hand.
must "logrotate takes the access log away" in_root logrotate -f /etc/logrotate.d/weir
test -e "$root/var/log/weir/access.log.1" || fail "there is no access.log.1"
kill -USR1 "$(pid)"
answers /after || true
wait_for "after SIGUSR1 the new access log is written" logged '"/after"'

kill -KILL "$(pid)"
wait_for "it was killed" said ended 1
wait_for "it is started again" said started 2
wait_for "it is ready again" ready

# --- upgrade: a configuration that was changed is kept ---------------------------------------------
echo '# changed by its administrator' >>"$root/etc/weir/weir.yaml"
must "the next version installs over it" in_root sh -c 'dpkg -i /next/*.deb'
answers / || fail "the running program went away with the upgrade"
grep -q 'changed by its administrator' "$root/etc/weir/weir.yaml" || fail "the changed configuration was lost"
say "the changed configuration is kept, and the old program goes on"
old=$(pid)
must "weir upgrade: the next version takes over" in_root weir upgrade --reason "the next version"
answers / || fail "nobody serves after weir upgrade"
wait_for "the supervisor hears that another process is the main one" main_is_not "$old"
wait_for "the old one ends" test ! -e "$root/proc/$old"
case $(readlink "$root/proc/$(main)/exe") in *deleted*) fail "the old program was started again" ;; esac
answers / || fail "nobody serves once the old process has ended"
stop
start
wait_for "the next version is ready" ready
wait_for "and relays" answers /

# --- embed ------------------------------------------------------------------------------------------
must "an example compiles with libweir-dev, and runs" in_root sh -c '
    cd /tmp && for f in /usr/share/doc/weir-doc/examples/manager.c; do
        cc -std=gnu17 "$f" -o manager $(pkg-config --cflags --libs weir) && ./manager && ldd manager | grep -q libweir.so.1; done'

# --- remove, purge ----------------------------------------------------------------------------------
stop
must "it is removed" in_root dpkg --remove weir libweir-dev libweir1 weir-doc
test -e "$root/etc/weir/weir.yaml" || fail "removing took the configuration"
left=$(find "$root/usr/bin" "$root/usr/lib" "$root/usr/share" "$root/usr/include" "$root/lib/systemd" \
    \( -name 'weir*' -o -name 'libweir*' \) -not -name 'weir-doc*' | head -n 5)
[ -z "$left" ] || fail "left behind: $left"
must "it is purged" in_root dpkg --purge weir libweir1 libweir-dev weir-doc
for path in etc/weir etc/logrotate.d/weir var/log/weir var/lib/weir; do
    [ ! -e "$root/$path" ] || fail "purging left /$path"
done
kill "$upstream"
say "all well"
