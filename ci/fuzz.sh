#!/bin/sh
# Runs every fuzz target of the tree for FUZZTIME, one after the other, and
# fails when one of them found something.
set -eu
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# targets prints "folder target" for each func FuzzX in the tree.
targets() {
	grep -rE --include='*_test.go' '^func Fuzz[A-Z0-9_]' . |
		sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' | sort
}

# fuzz runs one target. Its exit status is that of go test, but for a target
# that go test itself cut off in mid-input at the end of the time: no finding.
# Most of a short time goes to making inputs smaller if that has no bound.
fuzz() {
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 300x "$1" >"$log" 2>&1 && status=0 || status=$?
	cat "$log"
	if [ $status -ne 0 ] && grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; then
		echo "fuzz: $1 $2: stopped at the end of its time"
		status=0
	fi
	return $status
}

ran=0 failed=0
for line in $(targets | tr ' ' :); do
	dir=${line%%:*} target=${line#*:}
	echo "fuzz: $dir $target"
	ran=$((ran + 1))
	fuzz "$dir" "$target" && continue
	failed=$((failed + 1))
	echo "fuzz: FAILED: $dir $target"
	echo "fuzz: reproduce with: go test -run '^$target\$' $dir (the input is in $dir/testdata/fuzz/$target: fix, then commit it)"
done
echo "fuzz: $ran targets run, $failed failed"
[ "$failed" -eq 0 ]
