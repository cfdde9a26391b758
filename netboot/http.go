package netboot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"text/template"

	"github.com/hagane-cloud/hagane/agent/protocol"
	"github.com/hagane-cloud/hagane/fault"
)

// agentPath is where the agent's calls are.
const agentPath = "/agent/v1"

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /boot/ipxe.efi", s.file(func(f Files) string { return f.UEFI }))
	mux.HandleFunc("GET /boot/vmlinuz", s.file(func(f Files) string { return f.Kernel }))
	mux.HandleFunc("GET /boot/initramfs", s.file(func(f Files) string { return f.Initramfs }))
	mux.HandleFunc("GET /boot/{mac}", s.script)
	mux.HandleFunc("POST "+agentPath+protocol.PathClaim, s.claim)
	mux.HandleFunc("POST "+agentPath+protocol.PathHeartbeat, s.heartbeat)
	mux.HandleFunc("POST "+agentPath+protocol.PathLog, s.keepLog)
	mux.HandleFunc("POST "+agentPath+protocol.PathSwarm, s.meet)
	mux.HandleFunc("GET "+agentPath+"/images/{id}", s.image)
	mux.HandleFunc("GET "+agentPath+"/images/{id}"+protocol.PathManifest, s.manifest)
	mux.HandleFunc("POST "+agentPath+"/images/{id}"+protocol.PathChunk, s.chunk)
	return mux
}

func (s *Server) file(which func(Files) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, which(s.Files)) }
}

// bootAgent is the iPXE script that starts the agent. console: the last one is /dev/console.
var bootAgent = template.Must(template.New("agent").Parse(`#!ipxe
echo Hagane: booting the agent on {{.MAC}}
kernel {{.Base}}/boot/vmlinuz initrd=initramfs console=tty0 console=ttyS0,115200 hagane.api={{.Base}}` + agentPath + ` hagane.claim={{.Secret}} hagane.mac={{.MAC}}
initrd --name initramfs {{.Base}}/boot/initramfs
boot
`))

// bootDisk hands over to the next boot device: on UEFI by failing, which is what makes its boot manager go on.
const bootDisk = `#!ipxe
echo Hagane: nothing to do, booting from disk
iseq ${platform} pcbios && sanboot --no-describe --drive 0x80 ||
exit 1
`

// script answers iPXE. A script holds the secret of one machine, so it is given only to the address that
// is leased to that machine.
func (s *Server) script(w http.ResponseWriter, r *http.Request) {
	mac := strings.ReplaceAll(strings.ToLower(r.PathValue("mac")), "-", ":")
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		s.fail(w, r, fault.E(fault.Invalid, "reading the remote address", err))
		return
	}
	holder, err := s.holder(r.Context(), host)
	if err == nil && holder != mac {
		err = fault.Errorf(fault.Denied, "the address %s is not leased to %s", host, mac)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	b, err := s.Nodes.BootFor(r.Context(), mac)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	if b.Secret == "" {
		_, _ = io.WriteString(w, bootDisk)
		return
	}
	_ = bootAgent.Execute(w, map[string]string{"MAC": mac, "Base": BaseURL(s.Address), "Secret": b.Secret})
}

// maxCall bounds the agent's JSON: an inventory of a large machine is some 100 kB.
const maxCall = 4 << 20

func (s *Server) claim(w http.ResponseWriter, r *http.Request) {
	var c protocol.Claim
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCall)).Decode(&c); err != nil {
		s.fail(w, r, fault.E(fault.Invalid, "reading the claim", err))
		return
	}
	out, err := s.Nodes.Claim(r.Context(), c)
	s.answerJSON(w, r, out, err)
}

func (s *Server) heartbeat(w http.ResponseWriter, r *http.Request) {
	var b protocol.Beat
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCall)).Decode(&b); err != nil {
		s.fail(w, r, fault.E(fault.Invalid, "reading the heartbeat", err))
		return
	}
	o, err := s.Nodes.Await(r.Context(), bearer(r), b)
	s.answerJSON(w, r, protocol.Orders{Order: o}, err)
}

const maxLog = 1 << 20

func (s *Server) keepLog(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLog))
	if err != nil {
		err = fault.E(fault.Invalid, "reading the log", err)
	} else {
		err = s.Nodes.KeepLog(r.Context(), bearer(r), string(text))
	}
	s.answerJSON(w, r, struct{}{}, err)
}

// image streams an image to the agent whose order it is to write it.
func (s *Server) image(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if err := s.Nodes.MayRead(r.Context(), bearer(r), id); err != nil {
		s.fail(w, r, err)
		return
	}
	f, size, err := s.Images.Raw(r.Context(), id)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer func() { _ = f.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", fmt.Sprint(size))
	_, _ = io.Copy(w, f) // the agent sees a short body, and its SHA-512 decides
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

func (s *Server) answerJSON(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := fault.Status(err)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		status = http.StatusRequestEntityTooLarge
	}
	if errors.Is(err, fs.ErrNotExist) {
		status = http.StatusGone // what is lost does not come back while an agent waits
	}
	s.Log.Warn("an agent's call failed", "path", r.URL.Path, "from", r.RemoteAddr, "status", status, "error", err)
	http.Error(w, fault.Message(err), status)
}
