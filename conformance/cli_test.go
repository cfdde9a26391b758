package conformance

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestCommands plays the scripts of testdata, in which people work at a terminal, on one cloud.
func TestCommands(t *testing.T) {
	c := start(t)
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: func(e *testscript.Env) error {
		e.Setenv("OS_CLIENT_CONFIG_FILE", filepath.Join(c.data, "clouds.yaml"))
		e.Setenv("OS_CLOUD", "hagane")
		e.Setenv("HOME", e.WorkDir) // the commands keep caches there
		e.Setenv("BASE", c.base)
		e.Setenv("IRONIC_MAX_RETRIES", "1") // the command repeats what conflicts, as if a lock were in the way
		e.Setenv("IRONIC_RETRY_INTERVAL", "1")
		return nil
	}})
}
