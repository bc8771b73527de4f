#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mutant_test.sh SIM STORY STORIES NUMBER - breaks the rule of this number (src/core/mutant.h), and expects a
# story or the simulator to notice. With no rule broken, 0, neither may say anything.
set -u

sim=$1
story=$2
stories=$3
mutant=$4

if [ "$mutant" -eq 0 ]; then
    "$sim" --mutant 0 --seeds 10 --steps 1000 >/dev/null && "$story" --mutant 0 "$stories" >/dev/null && exit 0
    echo "something is found although no rule is broken"
    exit 1
fi
by=
"$story" --mutant "$mutant" "$stories" >/dev/null 2>&1 || by="a story"
timeout 60 "$sim" --mutant "$mutant" --seeds 40 --steps 2000 --stop >/dev/null 2>&1 || by="$by${by:+ and }the simulator"
echo "mutant $mutant: ${by:-nobody noticed}"
[ -n "$by" ]
