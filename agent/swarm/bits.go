package swarm

import "math/bits"

// bitset is a set of chunks. Its bytes are what travels: chunk i is bit i%8 of byte i/8, counted from the lowest.
type bitset []byte

func newBits(n int) bitset { return make(bitset, (n+7)/8) }

func (b bitset) has(i int) bool { return b[i/8]>>(i%8)&1 == 1 }
func (b bitset) set(i int)      { b[i/8] |= 1 << (i % 8) }
func (b bitset) clear(i int)    { b[i/8] &^= 1 << (i % 8) }

// each calls fn for the chunks of the set, of those below n.
func (b bitset) each(n int, fn func(i int)) {
	for at, word := range b {
		for ; word != 0; word &= word - 1 {
			if i := at*8 + bits.TrailingZeros8(word); i < n {
				fn(i)
			}
		}
	}
}
