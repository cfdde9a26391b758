package netboot

import (
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/pin/tftp/v3"

	"github.com/hagane-cloud/hagane/fault"
)

// The names under which iPXE is served.
const (
	nameBIOS = "undionly.kpxe"
	nameUEFI = "snponly.efi"
)

// tftpServer serves iPXE and nothing else: everything larger goes by HTTP.
func (s *Server) tftpServer() *tftp.Server {
	ts := tftp.NewServer(s.sendFile, nil)
	ts.EnableSinglePort() // the library opens other ports on the operating system's network, not on our wire
	ts.SetTimeout(2 * time.Second)
	ts.SetRetries(10)
	return ts
}

func (s *Server) sendFile(name string, to io.ReaderFrom) error {
	file := ""
	switch path.Base(strings.ToLower(name)) {
	case nameBIOS:
		file = s.Files.BIOS
	case nameUEFI:
		file = s.Files.UEFI
	default:
		return fault.Errorf(fault.NotFound, "no file %q", name)
	}
	f, err := os.Open(file)
	if err != nil {
		s.Log.Error("a boot file can not be served", "file", file, "error", err)
		return fault.Errorf(fault.NotFound, "no file %q", name)
	}
	defer func() { _ = f.Close() }()
	if t, ok := to.(tftp.OutgoingTransfer); ok {
		if info, err := f.Stat(); err == nil {
			t.SetSize(info.Size())
		}
	}
	_, err = to.ReadFrom(f)
	return err
}
