#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# mutants_test.sh SIM STORY STORIES MUTANT.H - breaks each rule that mutant.h lists, one at a time, and
# expects a story or the simulator to notice. With no rule broken neither may say anything.
set -u

sim=$1
story=$2
stories=$3
header=$4
missed=
count=0

if ! "$sim" --mutant 0 --seeds 10 --steps 1000 >/dev/null ||
    ! "$story" --mutant 0 "$stories" >/dev/null; then
    echo "mutants: something is found although no rule is broken"
    exit 1
fi
for mutant in $(sed -n 's/^ \* *\([0-9][0-9]*\)  .*/\1/p' "$header"); do
    count=$((count + 1))
    by=
    "$story" --mutant "$mutant" "$stories" >/dev/null 2>&1 || by="a story"
    timeout 60 "$sim" --mutant "$mutant" --seeds 40 --steps 2000 --stop >/dev/null 2>&1 || by="$by${by:+ and }the simulator"
    echo "mutant $mutant: ${by:-nobody noticed}"
    [ -n "$by" ] || missed="$missed $mutant"
done
echo "mutants: $count, missed:${missed:- none}"
[ -z "$missed" ] && [ "$count" -ge 12 ]
