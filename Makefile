# run    init on examples/, and a shell beside it
# install  programs, manuals, completion, the jobs and policies they need: DESTDIR, PREFIX, SYSCONFDIR, BIN
# all    build everything           test  all that CI runs except staticcheck
# lint   vet, tree rules, staticcheck (fetched as a module at first use)
# unit   unit tests, scripts, walks race  race detector outside core
# fuzz   each target for FUZZTIME   soak  random walks, SEEDS=1000000
# vm     init as process 1 of a machine, on examples/
# vm-freebsd  the same on FreeBSD, if it is told how (go doc ./vm/freebsd)
# needs  installs what tests need    vm-needs  QEMU, kernel, busybox alone
# bench  budgets, docs/PERFORMANCE.md     cover  coverage of core
# HACKING.md says more of each.

BIN ?= bin
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
SBIN = $(DESTDIR)$(PREFIX)/sbin
SHARE = $(DESTDIR)$(PREFIX)/share
FUZZTIME ?= $(if $(filter true,$(CI)),10s,5s)
SEEDS ?= 1000000
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# No message bus is spoken to over TCP: that needs much of package net.
export GOFLAGS += -tags=godbus_no_tcp

.PHONY: all run programs install test lint vet rules unit race fuzz soak bench cover clean help needs vm vm-needs vm-freebsd

all:
	go build -v ./...

run: programs
	@bin/run examples

programs:
	@echo "== building"
	@CGO_ENABLED=0 go build -v -trimpath -ldflags="-s -w" -o bin/ ./cmd/... ./ci/run

# /usr/share/upstart/sessions is where session inits look, whatever the prefix. The PATH of users has no sbin.
install: programs
	install -d $(SBIN) $(SHARE)/man/man5 $(SHARE)/man/man8 $(SHARE)/bash-completion/completions $(DESTDIR)/var/log/upstart \
		$(DESTDIR)$(SYSCONFDIR)/init $(DESTDIR)$(SYSCONFDIR)/dbus-1/system.d $(DESTDIR)/usr/share/upstart/sessions
	install $(BIN)/init $(BIN)/initctl $(BIN)/onset-sources $(SBIN)
	for n in start stop restart reload status init-checkconf runlevel telinit shutdown reboot halt poweroff; do \
		ln -sf initctl $(SBIN)/$$n || exit 1; done
	install -m 644 man/*.5 $(SHARE)/man/man5
	install -m 644 man/*.8 $(SHARE)/man/man8
	install -m 644 completion/* $(SHARE)/bash-completion/completions
	for n in start stop restart reload status; do ln -sf initctl $(SHARE)/bash-completion/completions/$$n || exit 1; done
	install -m 644 conf/dbus/*.conf $(DESTDIR)$(SYSCONFDIR)/dbus-1/system.d
	install -m 644 conf/*.conf $(DESTDIR)$(SYSCONFDIR)/init
	install -m 644 conf/session/*.conf $(DESTDIR)/usr/share/upstart/sessions
	sed -i 's|^exec |exec $(PREFIX)/sbin/|' $(DESTDIR)$(SYSCONFDIR)/init/onset-sources.conf $(DESTDIR)/usr/share/upstart/sessions/onset-sources.conf

help:
	@sed -n '/^#/s/^# //p;/^$$/q' Makefile

test: needs all vet unit race fuzz
	@echo "== all stages passed"

lint: vet rules
	@echo "== staticcheck linux, freebsd"
	@GOBIN="$(CURDIR)/bin" go install $(STATICCHECK)
	@for system in linux freebsd; do GOOS=$$system bin/staticcheck ./... || exit 1; done

vet:
	@echo "== vet linux"
	GOOS=linux go vet ./...
	@for arch in amd64 arm64; do \
		echo "== vet and test builds freebsd/$$arch"; \
		export GOOS=freebsd GOARCH=$$arch; \
		go vet ./... && (cd vm/freebsd/guest && go vet ./...) && \
		go test -c -ldflags="-s -w" -o /dev/null ./... >/dev/null || exit 1; \
	done

rules:
	@echo "== repository rules"
	go test -count=1 ./ci

unit:
	@echo "== unit tests, repository rules, scripts and walks"
	go test -timeout 30m ./...

race:
	@echo "== race detector"
	sh ci/race.sh

fuzz:
	@echo "== fuzz, $(FUZZTIME) a target"
	FUZZTIME=$(FUZZTIME) sh ci/fuzz.sh

soak:
	@echo "== soak, $(SEEDS) seeds"
	@go test -list Walk ./platform/sim/... | grep -q '^Test' || { echo "soak: no walk test in platform/sim"; exit 1; }
	ONSET_SEEDS=$(SEEDS) go test -count=1 -timeout 0 -v -run Walk ./platform/sim/...

vm: vm-needs
	@go run ./vm/linux/console examples

vm-freebsd:
	@go run ./vm/freebsd/console examples

vm-needs:
	@sh vm/needs.sh bin/vm

needs:
	@sh ci/needs.sh

bench:
	go run ./ci/bench

cover:
	go test -coverpkg=./core/... -coverprofile=cover.out ./core/... ./platform/sim/...
	go tool cover -func=cover.out | tail -n 1

clean:
	rm -rf bin cover.out
	go clean ./...
