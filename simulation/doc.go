// Package simulation plays the control plane in one goroutine at a time: conductors, API processes, their database, BMCs, machines, a
// switch, tenants and operators, by a simulated clock. All that happens is drawn from a seed, so that a seed that finds something
// wrong finds it again. Its own tests and nobody else call it.
package simulation
