#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# fuzz.sh BUILD SECONDS [TARGET] - runs one fuzz target, or all in turn, over its kept corpus. New
# inputs that reach new code stay in BUILD/found/TARGET; one that fails is printed by libFuzzer and
# kept there as crash-*, to become a file of test/fuzz/corpus/TARGET once it is fixed.
set -eu

build=$1
seconds=$2
only=${3:-}
failed=
ran=0

for program in "$build"/test/fuzz/*_fuzz; do
    [ -x "$program" ] || continue
    name=$(basename "$program")
    [ -z "$only" ] || [ "$only" = "$name" ] || [ "${only}_fuzz" = "$name" ] || continue
    found=$build/found/$name
    corpus=test/fuzz/corpus/$name
    mkdir -p "$found"
    [ -d "$corpus" ] || corpus=
    echo "fuzz: $name, $seconds s"
    ran=$((ran + 1))
    "$program" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
        -artifact_prefix="$found/" "$found" $corpus 2>"$found.log" ||
        { tail -n 40 "$found.log"; failed="$failed $name"; }
    grep -E 'stat::(number_of_executed_units|average_exec_per_sec)' "$found.log" || true
done

[ "$ran" -gt 0 ] || { echo "fuzz: no target${only:+ named $only}"; exit 1; }
echo "fuzz: $ran targets, failed:${failed:- none}"
[ -z "$failed" ]
