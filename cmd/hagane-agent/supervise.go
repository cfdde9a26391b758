package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hagane-cloud/hagane/agent/host"
	"github.com/hagane-cloud/hagane/agent/protocol"
)

const (
	sessionFile = "/run/hagane-session.json"
	// lookWithin is how long a message stays on the screen before the machine powers off.
	lookWithin = time.Minute
	tailBytes  = 256 << 10
)

// session is what process 1 needs to send the agent's last words home.
type session struct {
	API   string `json:"api"`
	Token string `json:"token"`
}

// remember leaves the session for process 1.
func remember(api, token string, log *slog.Logger) {
	b, err := json.Marshal(session{api, token})
	if err == nil {
		err = os.WriteFile(sessionFile, b, 0o600)
	}
	if err != nil {
		log.Warn("keeping the session", "error", err)
	}
}

// supervise is process 1. It never returns: without it the kernel would panic.
func supervise() {
	mount(os.Stdout)
	// Should this process die after all, the kernel restarts the machine instead of hanging.
	_ = os.WriteFile("/proc/sys/kernel/panic", []byte("60"), 0o600) // only a precaution
	kmsg, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		kmsg = nil
	}
	last := &tail{}
	out := &each{consoles(), kernelLog{kmsg}, last} // one pointer: exec then uses one goroutine for both streams
	fmt.Fprintf(out, "hagane-agent %s: preparing the machine\n", version)

	command := exec.Command("/proc/self/exe", worker)
	command.Stdout, command.Stderr = out, out
	command.Env = append([]string{"GOTRACEBACK=all", "PATH=/"}, tuning(read("/proc/cpuinfo"))...)
	err = command.Run()
	fmt.Fprintf(out, "hagane-agent: the agent ended (%v); the machine powers off in %s\n", err, lookWithin)
	if err := lastWords(last.text); err != nil {
		fmt.Fprintln(out, "hagane-agent: the log could not be sent home:", err)
	}
	time.Sleep(lookWithin)
	if err := host.New(slog.New(slog.NewTextHandler(out, nil))).PowerOff(context.Background()); err != nil {
		fmt.Fprintln(out, "hagane-agent: powering off:", err)
	}
	for {
		_ = unix.Pause() // it returns after each signal
	}
}

// tuning returns settings of the Go runtime for the processor. QEMU emulates AVX2 instruction by instruction: SHA-512,
// which bounds how fast an image is written, runs at 11 MB/s with it and at 47 without (QEMU 7.2).
func tuning(cpuinfo string) []string {
	if strings.Contains(cpuinfo, "QEMU TCG CPU") {
		return []string{"GODEBUG=cpu.avx2=off"}
	}
	return nil
}

// lastWords sends the end of the agent's output home.
func lastWords(text []byte) error {
	b, err := os.ReadFile(sessionFile)
	if err != nil {
		return err // the run was never claimed: there is nobody to tell
	}
	var s session
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(s.API, "/")+protocol.PathLog, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	request.Header.Set("Authorization", "Bearer "+s.Token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 4096))
	return answer.Body.Close()
}

// tail keeps the end of what is written to it. Only one goroutine writes: that of exec, for both
// streams.
type tail struct{ text []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(b), nil
}
