#!/usr/bin/env bash
# Checks gate.pml: as designed, which must pass, and with one part removed at a time, which must fail.
# Needs `spin`, a Debian package of that name, and a C compiler.
set -euo pipefail
model=$(cd "$(dirname "$0")" && pwd)/gate.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# With these definitions: says "pass", "fail" (somebody sleeps for ever), or what went wrong.
verdict() {
    : >pan.log
    spin "$@" -a "$model" || return 0
    cc -w -DSAFETY -o pan pan.c
    ./pan -n -m100000 >pan.log
    if grep -q 'search depth too small' pan.log; then
        echo "cut short"
    elif grep -q 'errors: 0$' pan.log; then
        echo pass
    elif grep -q 'invalid end state (at depth' pan.log; then
        echo fail
    else
        cat pan.log
    fi
}

wrong=0
# As `verdict`; a pass has to have seen so many states, or else it was blind.
expect() {
    local expected=$1 at_least=$2 answer states
    shift 2
    answer=$(verdict "$@")
    states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' pan.log)
    printf '%s: %s, %s states\n' "${*:-as designed}" "$answer" "${states:=0}"
    if [ "$answer" != "$expected" ] || [ "$states" -lt "$at_least" ]; then
        echo "    expected: $expected, at least $at_least states" >&2
        wrong=1
    fi
}

expect pass 50000
for part in NO_LIGHT NO_HEAVY HEAVY_OWN HEAVY_OTHER NO_LOOK; do
    for end in P C; do
        expect fail 1 "-D$part=$end"
    done
done
for change in REFUSED WISH; do
    expect pass 500000 "-D$change"
    for part in NO_FULL NO_FENCE TRUST EARLY; do
        for end in P C; do
            expect fail 1 "-D$change" "-D$part=$end"
        done
    done
done
expect pass 500000 -DREFUSED -DWISH
exit "$wrong"
