// Package profile holds what is known about BMCs by vendor, model and firmware: their quirks, as data. The
// profiles are YAML files in the folder data, embedded; an operator's folder adds to them or replaces
// them by name without a new build. Each deviation names the source of its fact.
package profile

// Profile is the sum of all that is known about BMCs of one kind. The nil Profile knows nothing.
type Profile struct {
	Name string `yaml:"name"`
	HTTP HTTP   `yaml:"http"`
}

// HTTP is how a BMC likes HTTP.
type HTTP struct {
	KeepAlive bool   `yaml:"keep_alive"` // connections may be reused
	MaxTLS    string `yaml:"max_tls"`    // "1.2" where TLS 1.3 fails
}

// KeepsAlive reports whether connections may be reused.
func (p *Profile) KeepsAlive() bool { return p != nil && p.HTTP.KeepAlive }

// MaxTLS returns the highest TLS version that works; "" for any.
func (p *Profile) MaxTLS() string {
	if p == nil {
		return ""
	}
	return p.HTTP.MaxTLS
}
