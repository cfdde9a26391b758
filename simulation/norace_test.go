//go:build !race

package simulation_test

// raceDetector says that the tests are built without the race detector.
const raceDetector = false
