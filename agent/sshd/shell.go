package sshd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// window is the size of a client's terminal, as it travels in SSH requests.
type window struct{ Columns, Rows, Width, Height uint32 }

// Shell returns sessions that run busybox's shell, or a command in it, with or without a terminal, as root. It wants
// /bin/busybox and, for terminals, /dev/pts.
func Shell(log *slog.Logger) Session {
	return func(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request) {
		session(ctx, channel, requests, log)
	}
}

func session(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request, log *slog.Logger) {
	defer func() { _ = channel.Close() }() // the client may be gone
	var terminal *os.File
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	environment := []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root", "USER=root", "SHELL=/bin/sh"}
	started := false
	for request := range requests {
		ok := false
		switch request.Type {
		case "env":
			ok = true // taken and not heeded: no variable matters here
		case "pty-req":
			var asked struct { // flat, as the decoder wants it
				Term                         string
				Columns, Rows, Width, Height uint32
				Modes                        string
			}
			if terminal == nil && ssh.Unmarshal(request.Payload, &asked) == nil {
				var err error
				if terminal, err = openTerminal(window{Columns: asked.Columns, Rows: asked.Rows}); err != nil {
					log.Warn("opening a terminal", "error", err)
				}
				environment = append(environment, "TERM="+asked.Term)
				ok = err == nil
			}
		case "window-change":
			var size window
			if terminal != nil && ssh.Unmarshal(request.Payload, &size) == nil {
				ok = resize(terminal, size) == nil
			}
		case "shell", "exec":
			var asked struct{ Command string }
			if started || request.Type == "exec" && ssh.Unmarshal(request.Payload, &asked) != nil {
				break
			}
			started, ok = true, true
			command := exec.CommandContext(ctx, "/bin/busybox", "sh", "-l")
			if request.Type == "exec" {
				command = exec.CommandContext(ctx, "/bin/busybox", "sh", "-c", asked.Command)
			}
			command.Env, command.Dir = environment, "/root"
			running.Go(func() {
				status := struct{ Status uint32 }{run(command, channel, terminal)}
				_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status)) // the client may be gone
				_ = channel.Close()
			})
		}
		if request.WantReply {
			if err := request.Reply(ok, nil); err != nil {
				return
			}
		}
	}
}

// run runs a command and returns its exit status.
func run(command *exec.Cmd, channel ssh.Channel, terminal *os.File) uint32 {
	var err error
	if terminal == nil {
		command.Stdout, command.Stderr = channel, channel.Stderr()
		// Not command.Stdin: waiting for the command would wait for the client's end of input as well.
		input, piped := command.StdinPipe()
		if piped != nil {
			return 255
		}
		if err = command.Start(); err == nil {
			go func() { // it ends with the channel, which is closed after the command
				_, _ = io.Copy(input, channel)
				_ = input.Close()
			}()
			err = command.Wait()
		}
	} else {
		err = runOnTerminal(command, channel, terminal)
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return uint32(exit.ExitCode())
	}
	return 255
}

func runOnTerminal(command *exec.Cmd, channel ssh.Channel, terminal *os.File) error {
	defer func() { _ = terminal.Close() }() // nothing is buffered
	name, err := otherEnd(terminal)
	if err != nil {
		return err
	}
	slave, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	command.Stdin, command.Stdout, command.Stderr = slave, slave, slave
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = command.Start()
	_ = slave.Close() // the command has its own
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(terminal, channel) }() // it ends with the channel, which is closed after the command
	var copying sync.WaitGroup
	copying.Go(func() { _, _ = io.Copy(channel, terminal) }) // it ends when the last process has closed the terminal
	err = command.Wait()
	copying.Wait()
	return err
}

// openTerminal opens a pseudo terminal of the given size.
func openTerminal(size window) (*os.File, error) {
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, resize(f, size)
}

func otherEnd(terminal *os.File) (string, error) {
	n, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	return fmt.Sprintf("/dev/pts/%d", n), err
}

func resize(terminal *os.File, size window) error {
	return unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(size.Rows), Col: uint16(size.Columns)})
}
