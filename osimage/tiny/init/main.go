// Command init is the first and only program of the tiny test system, beside busybox: it reads the
// config drive, sets up name and addresses, runs the user data, serves SSH, and ends when the power
// button is pressed. It exists so that a test can see in seconds whether a server was handed over right.
package main

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// worker is the argument with which process 1 starts the program proper.
const worker = "serve"

func main() {
	switch {
	case len(os.Args) > 1 && os.Args[1] == worker:
		if err := serve(); err != nil {
			fmt.Println("hagane tiny:", err)
			os.Exit(1)
		}
	case os.Getpid() == 1:
		first()
	default:
		fmt.Fprintln(os.Stderr, "this is the first process of Hagane's tiny test system; it is of no use elsewhere")
		os.Exit(2)
	}
}

// first is process 1: it mounts, starts the worker, buries orphans and ends the machine. That is apart
// from the worker so that burying does not take away the children that the worker waits for.
func first() {
	mount()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGINT)
	go func() { // as long as the machine
		// busybox's reboot, halt and poweroff ask process 1 in this way.
		if s := <-signals; s == unix.SIGTERM || s == unix.SIGINT {
			end(unix.LINUX_REBOOT_CMD_RESTART)
		}
		end(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}()
	process, err := os.StartProcess("/init", []string{"/init", worker}, &os.ProcAttr{
		Env:   []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root"},
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		fmt.Println("hagane tiny:", err)
		end(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if err == nil && pid == process.Pid || err == unix.ECHILD {
			fmt.Println("hagane tiny: the worker has ended, powering off")
			end(unix.LINUX_REBOOT_CMD_POWER_OFF)
		}
	}
}

func mount() {
	for _, m := range []struct{ kind, target string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"devpts", "/dev/pts"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"},
	} {
		err := os.MkdirAll(m.target, 0o755)
		if err == nil {
			err = unix.Mount(m.kind, m.target, m.kind, unix.MS_NOSUID, "")
		}
		if err != nil && err != unix.EBUSY {
			fmt.Println("hagane tiny: mounting", m.target, err)
		}
	}
}

// end restarts or powers off the machine.
func end(how int) {
	unix.Sync()
	if err := unix.Reboot(how); err != nil {
		fmt.Println("hagane tiny: ending:", err)
	}
	select {} // the kernel ends this process with the machine
}
