#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# unit_check.sh - systemd's own opinion of the unit and of the user, without systemd running: syntax, every
# name of a setting, and how exposed the service is (0 not at all, 10 entirely; more than 2 is a fault).
set -eu

debian=$(cd "$(dirname "$0")/../debian" && pwd)
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
# verify wants the program to be there, and the user to exist.
printf '#!/bin/sh\n' >"$room/weir"
chmod 755 "$room/weir"
sed "s|^ExecStart=/usr/bin/weir|ExecStart=$room/weir|; /^User=/d; /^Group=/d" "$debian/weir.service" >"$room/weir.service"
said=$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$room/weir.service" 2>&1 | grep -F weir.service || true)
if [ -n "$said" ]; then
    printf '%s\n' "$said"
    exit 1
fi
systemd-analyze security --offline=yes --no-pager --threshold=20 "$debian/weir.service" >"$room/said"
grep -a 'exposure' "$room/said"
systemd-sysusers --dry-run "$debian/weir.sysusers" >/dev/null 2>&1
