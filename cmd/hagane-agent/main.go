// Command hagane-agent is /init of the ramdisk that inspects, erases and writes a server. As
// process 1 it prepares the system (mounts, console, drivers) and supervises a second instance of
// itself, which brings up the network and runs the agent: so a defect of the agent is printed in full, sent home and
// ends with the machine powered off, instead of a kernel panic with nobody watching.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/hagane-cloud/hagane/agent"
	"github.com/hagane-cloud/hagane/agent/host"
	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// version is set by the ramdisk's builder.
var version = "unknown"

// worker is the argument with which process 1 starts the agent proper.
const worker = "work"

func main() {
	if len(os.Args) > 1 && os.Args[1] == worker {
		log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelDebug}))
		if err := work(context.Background(), log); err != nil {
			log.Error("the agent has ended", "error", err)
			os.Exit(1)
		}
		return
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "hagane-agent is the first process of Hagane's ramdisk; it is of no use elsewhere")
		os.Exit(2)
	}
	supervise()
}

// work runs the agent. It returns only when something is wrong: the agent ends with the machine.
func work(ctx context.Context, log *slog.Logger) error {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return fault.E(fault.Internal, "reading the kernel's command line", err)
	}
	words := parse(string(line))
	if words.api == "" || words.claim == "" {
		return fault.Errorf(fault.Invalid, "the kernel's command line lacks hagane.api= or hagane.claim=: boot this ramdisk by the cloud's boot script")
	}
	began := time.Now()
	loadDrivers(log)
	if err := settle(ctx, log); err != nil {
		return err
	}
	down, err := connect(ctx, words, log)
	if err != nil {
		return err
	}
	defer down()
	log.Info("the network is up", "seconds", time.Since(began).Seconds())
	return agent.Run(ctx, agent.Config{
		API: words.api, Secret: words.claim, Machine: host.New(log), Log: log, Version: version, Peers: host.Nearby{API: words.api},
		OnClaim: func(c protocol.Claimed) { remember(words.api, c.Token, log) },
	})
}
