#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# warnings.sh PYTHON WARNINGS: ten seeds of the traces that early warnings are judged on, and the verdict.
set -eu
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for seed in 1 2 3 4 5 6 7 8 9 10; do
    "$1" -B "$here/make.py" --seed "$seed" --out "$work" ramp leak steady daily
    for trace in ramp leak steady daily; do
        mv "$work/$trace.csv" "$work/$trace-$seed.csv"
    done
done
"$2" "$work"/*.csv
