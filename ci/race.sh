#!/bin/sh
# Runs what may hold goroutines under the race detector, which needs a C
# compiler. The reducer has none (ci/purity.go), so a few walks are enough here.
set -eu
cd "$(dirname "$0")/.."
if ! command -v "$(go env CC)" >/dev/null; then
	echo "race: SKIPPED: no C compiler ($(go env CC))"
	exit 0
fi
# platform/linux has no goroutine, and its tests run their own binary inside a
# chroot, where the detector's C library is not. Those of cmd/init only look at
# programs from outside.
packages=$(go list ./... | grep -E '^onset/(core/loop|platform|cmd|eventsources)(/|$)' | grep -vE '^onset/(platform/linux|cmd/init)$' || true)
if [ -z "$packages" ]; then
	echo "race: nothing to run"
	exit 0
fi
ONSET_SEEDS=${ONSET_SEEDS:-200} go test -race -timeout 30m $packages
