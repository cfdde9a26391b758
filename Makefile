# Everything that is built or tested, by its name. `make demo` and `make test` do their own set-up.
GO      ?= go
MACHINE ?= qemu
OS      ?= tiny
FUZZ    ?= 20s
CACHE   := .cache
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo development)
BUILD    = CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-X main.version=$(VERSION)"

# The race detector watches all but SQLite, which was translated from C to Go: it would take several times as long there, and find nothing of ours. Only
# packages without generic code that others synchronise by, such as sync.Map, can be left out: the linker may take their copy of it for all.
RACE     = -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false

# Long tests of what is asked one after the other, which the race detector makes many times as long.
PLAIN    = TestIsolation|TestConformance|TestDemoQEMU

.PHONY: build demo test quick fuzz bench soak image ramdisk packages prepared clean

build: ## bin/hagane
	$(BUILD) -o bin/hagane ./cmd/hagane

demo: build $(if $(filter sim,$(MACHINE)),,packages) ## a tenant gets servers: MACHINE=qemu|sim, OS=tiny|debian, FAULTS=hard, KEEP=1
ifneq ($(MACHINE),sim)
	bin/hagane ramdisk build --kernel cloud --out $(CACHE)/ramdisk-cloud
	bin/hagane image build $(OS) --out $(CACHE)/image-$(OS)
endif
	bin/hagane demo --machine $(MACHINE) --os $(OS) $(if $(KEEP),--keep) $(if $(FAULTS),--faults $(FAULTS))

prepared: build ## what tests with emulated machines boot
	@scripts/packages test
	bin/hagane ramdisk build --kernel cloud --out $(CACHE)/ramdisk-cloud
	bin/hagane image build tiny --out $(CACHE)/image-tiny

# Tests keep more memory, up to a limit for each program, and collect it less often.
test: export GOGC = 400
test: export GOMEMLIMIT = 3GiB
test: prepared ## every test, with the race detector but for the long ones named PLAIN and a hundred simulated days, and every fuzz target for a second
	$(GO) vet -composites=false ./...
	$(GO) test $(RACE) -vet=off -timeout 38m -skip '^($(PLAIN))$$' ./...
	$(GO) test -timeout 20m -run '^($(PLAIN)|TestSeeds|TestReplay|TestSabotage)$$' ./cmd/hagane ./bmc/... ./network/fabric/... ./simulation
	cd conformance && $(GO) test -timeout 20m -parallel 4 ./...
	GO="$(GO)" scripts/fuzz 1s

quick: ## the tests that need nothing installed, without the race detector
	$(GO) test -short ./...

fuzz: ## every fuzz target, for FUZZ each
	GO="$(GO)" scripts/fuzz $(FUZZ)

bench: build ## figures: API, deploys, memory, start; up to 100,000 nodes; polls of 5,000 BMCs; waves of 64 machines, also over the lab's switch
	$(GO) test -run '^$$' -bench 'Start|API|FakeDeploy' -benchtime 2s ./cmd/hagane
	$(GO) test -run '^$$' -bench Clients -benchtime 1x -timeout 30m ./cmd/hagane
	$(GO) test -run '^$$' -bench Poll -benchtime 3x ./lab
	$(GO) test -run '^$$' -bench Wave -benchtime 1x -timeout 30m ./netboot
	$(GO) test -run '^$$' -bench WaveLab -benchtime 1x -timeout 30m ./lab

soak: ## 5,000 simulated clouds; 10,000 operations on 200 BMCs that misbehave; every step of every run tortured; every step of a deployment killed; 6 processes and 200 nodes in chaos; HAGANE_SIM_SEED=… and HAGANE_CHAOS_SEED=… replay
	HAGANE_SOAK=1 $(GO) test -run TestSeeds -count=1 -timeout 0 -v ./simulation
	HAGANE_SOAK=1 $(GO) test $(RACE) -run Chaos -count=1 -timeout 60m -v ./lab
	HAGANE_SOAK=1 $(GO) test $(RACE) -run TestTorture -count=1 -timeout 60m -v ./node
	HAGANE_SOAK=1 $(GO) test $(RACE) -run TestKilledAtEveryStep -count=1 -timeout 60m -v ./cmd/hagane
	HAGANE_SOAK=1 $(GO) test $(RACE) -run TestCrowd -count=1 -timeout 60m -v ./cmd/hagane

ramdisk: build ## the agent's ramdisk for real servers
	bin/hagane ramdisk build --kernel generic --out data/boot

image: build packages ## Debian with cloud-init, for tests
	bin/hagane image build debian --out $(CACHE)/image-debian

packages: ## system packages, with apt; names them when there are no rights
	@scripts/packages

clean:
	rm -rf bin $(CACHE)
