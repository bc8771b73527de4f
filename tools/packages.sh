#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# packages.sh GROUP... - installs those Debian packages of the named groups of packages.txt that are
# missing, and does nothing, quickly, when all are there. As root it installs; as a user it asks sudo;
# where neither is possible, it says what to install and fails. WEIR_PACKAGES=skip leaves the machine
# as it is. The services that some packages bring along (nginx, PostgreSQL, …) are not started.
set -eu

list=$(dirname "$0")/packages.txt
[ "${WEIR_PACKAGES:-}" != skip ] || exit 0

names_of() { # GROUP...: the names, one a line
    awk -v groups=" $* " '
        { sub(/#.*/, "") }
        /^\[/ { gsub(/[][ \t]/, ""); on = index(groups, " " $0 " "); next }
        on && NF { print $1 }' "$list"
}

missing_of() { # NAME...: those that are not installed, nor there otherwise (npm comes with some builds of nodejs)
    have=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
    for name in "$@"; do
        printf '%s\n' "$have" | grep -qx "installed $name" || command -v "$name" >/dev/null || printf '%s ' "$name"
    done
}

say() { printf 'packages: %s\n' "$*" >&2; }

for group in "$@"; do
    grep -q "^\[$group\]" "$list" || { say "no group [$group] in $list"; exit 1; }
done
names=$(names_of "$@")
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "this is not Debian; weir is built and tested with these packages of Debian 12:"
    say $names
    say "install what corresponds to them here, then: WEIR_PACKAGES=skip make ..."
    exit 1
fi
missing=$(missing_of $names)
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        as_root=sudo
    else
        say "missing, and neither root nor sudo to install them. As root, run:"
        say "    apt-get update && apt-get install --no-install-recommends $missing"
        exit 1
    fi
fi

# Installing must not start servers on this machine: policy-rc.d is how Debian is told so. One that
# is already there is the administrator's and stays.
policy=/usr/sbin/policy-rc.d
ours=
allow_services() {
    [ -z "$ours" ] || $as_root rm -f "$policy"
    ours=
}
forbid_services() {
    [ ! -e "$policy" ] || return 0
    ours=yes
    trap allow_services EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
}
disable_services() { # nor at the next start of the machine, if it was not there before
    command -v systemctl >/dev/null || return 0
    for name in $missing; do
        case $name in
        nginx-light) $as_root systemctl disable nginx >/dev/null 2>&1 || true ;;
        haproxy) $as_root systemctl disable haproxy >/dev/null 2>&1 || true ;;
        postgresql) $as_root systemctl disable postgresql >/dev/null 2>&1 || true ;;
        redis-server) $as_root systemctl disable redis-server >/dev/null 2>&1 || true ;;
        squid) $as_root systemctl disable squid >/dev/null 2>&1 || true ;;
        dante-server) $as_root systemctl disable danted >/dev/null 2>&1 || true ;;
        nghttp2-proxy) $as_root systemctl disable nghttpx >/dev/null 2>&1 || true ;;
        prometheus)
            $as_root systemctl disable prometheus >/dev/null 2>&1 || true
            $as_root systemctl disable prometheus-node-exporter >/dev/null 2>&1 || true
            ;;
        esac
    done
}

say "installing $missing"
forbid_services
log=$(mktemp)
if ! { $as_root apt-get update -q &&
       $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1
then
    tail -n 30 "$log" >&2
    say "apt-get failed (above); the whole log is $log"
    exit 1
fi
rm -f "$log"
disable_services
left=$(missing_of $names)
[ -z "$left" ] || { say "still missing: $left"; exit 1; }
