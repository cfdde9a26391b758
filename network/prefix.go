package network

import (
	"net/netip"
	"slices"
)

// inPrefix reports whether text is an address of a prefix.
func inPrefix(text string, prefix netip.Prefix) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && prefix.Contains(a)
}

// end returns the last address of a prefix.
func end(p netip.Prefix) netip.Addr {
	raw := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(raw)*8; bit++ {
		raw[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(raw)
	return a
}

// last returns the last address of a prefix that a host can have.
func last(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		return end(p).Prev() // the last is the broadcast address
	}
	return end(p)
}

// byAddress orders prefixes.
func byAddress(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

// compact returns the fewest prefixes that cover the same addresses, in order.
func compact(ps []netip.Prefix) []netip.Prefix {
	sorted := slices.SortedFunc(slices.Values(ps), byAddress)
	var out []netip.Prefix
	for _, p := range sorted {
		if len(out) > 0 && covers(out[len(out)-1], p) {
			continue
		}
		out = append(out, p)
		for len(out) > 1 {
			a, b := out[len(out)-2], out[len(out)-1]
			both := netip.PrefixFrom(a.Addr(), a.Bits()-1)
			if a.Bits() != b.Bits() || both != both.Masked() || !both.Contains(b.Addr()) {
				break
			}
			out = append(out[:len(out)-2], both)
		}
	}
	return out
}

// covers reports whether all of q is in p.
func covers(p, q netip.Prefix) bool { return p.Bits() <= q.Bits() && p.Contains(q.Addr()) }

// without returns ps less the addresses of cut, in order.
func without(ps []netip.Prefix, cut netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range ps {
		switch {
		case covers(cut, p):
		case covers(p, cut):
			// Halve p until the cut is left over.
			for p.Bits() < cut.Bits() {
				low := netip.PrefixFrom(p.Addr(), p.Bits()+1)
				high := netip.PrefixFrom(end(low).Next(), p.Bits()+1)
				if low.Contains(cut.Addr()) {
					out, p = append(out, high), low
				} else {
					out, p = append(out, low), high
				}
			}
		default:
			out = append(out, p)
		}
	}
	return compact(out)
}

// freePrefix returns the lowest prefix of a length in any of pools that overlaps none of taken.
func freePrefix(pools, taken []netip.Prefix, bits int) (netip.Prefix, bool) {
	taken = slices.SortedFunc(slices.Values(taken), byAddress)
	for _, pool := range pools {
		if bits < pool.Bits() || bits > pool.Addr().BitLen() {
			continue
		}
		try := netip.PrefixFrom(pool.Addr(), bits)
		for _, t := range taken {
			if !try.IsValid() || !try.Overlaps(t) {
				continue
			}
			beyond := end(t)
			if covers(try, t) {
				beyond = end(try)
			}
			try = netip.PrefixFrom(beyond.Next(), bits) // not valid behind the last address of all
		}
		if try.IsValid() && covers(pool, try) {
			return try, true
		}
	}
	return netip.Prefix{}, false
}
