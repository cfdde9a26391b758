// Package record is the flight recorder of the BMC layer: every exchange with a BMC, secrets removed, in
// a ring of each node. A recording can be saved as a file and replayed as a BMC in a test.
package record

// Recorder takes down exchanges. The nil Recorder takes down nothing.
type Recorder struct{}
