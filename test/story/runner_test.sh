#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# runner_test.sh STORY FOLDER - the story runner must be able to fail: every file of FOLDER has one
# mistake, and its last line, "# says: ...", is what the runner must say about it.
set -u

story=$1
failed=0
for file in "$2"/*.story; do
    says=$(sed -n 's/^# says: //p' "$file")
    out=$("$story" "$file")
    status=$?
    if [ "$status" -ne 1 ] || ! printf '%s' "$out" | grep -qF -- "$says"; then
        echo "$file: exit status $status, and not \"$says\" but:"
        echo "$out"
        failed=1
    fi
done
exit $failed
