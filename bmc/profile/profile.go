// Package profile holds what is known about BMCs by vendor, model and firmware: their quirks, as data. The
// profiles are YAML files in the folder data, embedded; an operator's folder adds to them or replaces
// them by name without a new build. Each deviation names the source of its fact.
package profile

// Profile is the sum of all that is known about BMCs of one kind.
type Profile struct {
	Name string
}
