//go:build race

package simulation_test

// raceDetector says that the tests are built with the race detector, under which SQLite takes ten times as long.
const raceDetector = true
