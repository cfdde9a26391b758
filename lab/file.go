package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"text/tabwriter"

	"github.com/hagane-cloud/hagane/fault"
	"github.com/hagane-cloud/hagane/lab/client"
)

// maxSocketPath is how long the path of a unix socket can be (sockaddr_un, with its closing zero).
const maxSocketPath = 107

// write writes lab.json, which holds passwords, in one step.
func write(data string, l client.Lab) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fault.E(fault.Internal, "write lab.json", err)
	}
	fresh := client.File(data) + ".new"
	if err := os.WriteFile(fresh, append(text, '\n'), 0o600); err != nil {
		return fault.E(fault.Internal, "write lab.json", err)
	}
	if err := os.Rename(fresh, client.File(data)); err != nil {
		return fault.E(fault.Internal, "write lab.json", err)
	}
	return nil
}

// listen opens a unix socket for the owner alone. The caller holds the lab's lock: a socket that is there is
// left from a lab that died.
func listen(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fault.Errorf(fault.Invalid, "the socket path %s is longer than the %d bytes that the system allows: take a data folder with a shorter path", path, maxSocketPath)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fault.E(fault.Internal, "remove an old socket", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fault.E(fault.Internal, "open a socket", err)
	}
	if err := os.Chmod(path, 0o600); err != nil { // the folder is the owner's alone in the meantime
		_ = l.Close()
		return nil, fault.E(fault.Internal, "close a socket to others", err)
	}
	return l, nil
}

// print shows the lab's machines.
func (r *rack) print(out io.Writer) {
	_, _ = fmt.Fprintf(out, "%d %s machines on switch %s, seed %d; BMC passwords are in %s\n", len(r.nodes), r.lab.Machine, r.sw.Name(), r.lab.Seed, client.File(r.options.DataDir))
	const most = 40
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "NODE\tFIRMWARE\tBMC\tADDRESS\tMAC\tPORT\tDISK")
	for i, n := range r.lab.Nodes {
		if i == most {
			_, _ = fmt.Fprintf(table, "and %d more\n", len(r.lab.Nodes)-most)
			break
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s, %d GiB\n", n.Name, n.Mode, n.BMC.Driver, n.BMC.Address,
			n.NICs[0].MAC, n.NICs[0].Port, n.Disks[0].Bus, n.Disks[0].Bytes>>30)
	}
	_ = table.Flush()
}
