package lab

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/client"
)

// serveControl answers the control API until ctx ends:
//
//	GET    /machines                        how all machines are doing
//	GET    /machines/{name}                 how one is doing
//	GET    /machines/{name}/disk/{n}/blank  reads a disk from end to end
//	GET    /machines/{name}/console         the serial console, from a byte offset on (?from=)
//	POST   /forward                         opens a road into a VLAN
//	DELETE /forward/{id}                    closes it
func (r *rack) serveControl(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /machines", answer(r.listMachines))
	mux.HandleFunc("GET /machines/{name}", answer(r.showMachine))
	mux.HandleFunc("GET /machines/{name}/disk/{n}/blank", answer(r.checkDisk))
	mux.HandleFunc("GET /machines/{name}/console", r.showConsole)
	mux.HandleFunc("POST /forward", answer(r.openRoad))
	mux.HandleFunc("DELETE /forward/{id}", answer(r.closeRoad))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fault.E(fault.Internal, "serve the lab's control API", err)
	}
	return nil
}

// answer turns a function into an HTTP handler with JSON answers.
func answer[T any](do func(req *http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		body, err := do(req)
		if err != nil {
			refuse(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch fault.KindOf(err) {
	case fault.Invalid:
		status = http.StatusBadRequest
	case fault.NotFound:
		status = http.StatusNotFound
	case fault.Conflict:
		status = http.StatusConflict
	case fault.Unavailable:
		status = http.StatusServiceUnavailable
	case fault.Internal, fault.Denied, fault.Unauthentic, fault.TooLarge:
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Error string `json:"error"`
	}{err.Error()})
}

type machineList struct {
	Machines []client.Machine `json:"machines"`
}

func (r *rack) listMachines(*http.Request) (machineList, error) {
	list := machineList{Machines: []client.Machine{}}
	for _, n := range r.nodes {
		list.Machines = append(list.Machines, n.state())
	}
	return list, nil
}

func (r *rack) showMachine(req *http.Request) (client.Machine, error) {
	n, err := r.node(req.PathValue("name"))
	if err != nil {
		return client.Machine{}, err
	}
	return n.state(), nil
}

func (n *node) state() client.Machine {
	s := n.machine.Status()
	return client.Machine{
		Name: n.machine.Spec().Name, On: s.On, Since: s.Since, Boots: s.Boots, BootedFrom: string(s.BootedFrom),
		Mode: string(s.Mode), Boot: string(s.Boot.Device), Persistent: s.Boot.Persistent, Ended: s.Ended, Console: s.Console,
	}
}

func (r *rack) checkDisk(req *http.Request) (any, error) {
	n, err := r.node(req.PathValue("name"))
	if err != nil {
		return nil, err
	}
	disk, err := strconv.Atoi(req.PathValue("n"))
	if err != nil {
		return nil, fault.Errorf(fault.NotFound, "%q is no number of a disk", req.PathValue("n"))
	}
	return n.machine.Blank(req.Context(), disk)
}

func (r *rack) showConsole(w http.ResponseWriter, req *http.Request) {
	n, err := r.node(req.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	from, err := strconv.ParseInt(req.FormValue("from"), 10, 64)
	if req.FormValue("from") != "" && (err != nil || from < 0) {
		refuse(w, fault.Field("from", "%q is no offset", req.FormValue("from")))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	f, err := os.Open(n.machine.Status().Console)
	if err != nil { // it was never on
		return
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return
	}
	_, _ = io.Copy(w, f)
}

func (r *rack) openRoad(req *http.Request) (client.Forwarded, error) {
	var want client.Forward
	body := json.NewDecoder(io.LimitReader(req.Body, 64<<10))
	body.DisallowUnknownFields()
	if err := body.Decode(&want); err != nil {
		return client.Forwarded{}, fault.Errorf(fault.Invalid, "read the request: %v", err)
	}
	return r.roads.open(want)
}

func (r *rack) closeRoad(req *http.Request) (struct{}, error) {
	return struct{}{}, r.roads.close(req.PathValue("id"))
}
