package fat

import (
	"path"
	"strconv"
	"strings"
)

// longOffsets are the places of the 13 characters within a long name's entry.
var longOffsets = [13]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

// padded fills a name up to the 11 bytes of a directory entry.
func padded(s string) []byte { return []byte((s + "           ")[:11]) }

// shortName makes the 8.3 name that stands behind a long one. number makes it unique.
func shortName(name string, number int) []byte {
	extension := path.Ext(name)
	stem, tail := plain(strings.TrimSuffix(name, extension)), "~"+strconv.Itoa(number)
	if room := 8 - len(tail); len(stem) > room {
		stem = stem[:room]
	}
	short := padded(stem + tail)
	copy(short[8:], plain(extension))
	return short
}

// plain keeps the letters and digits, in capitals.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, s)
}

// checksum ties long entries to their short name.
func checksum(short []byte) byte {
	var sum byte
	for _, c := range short {
		sum = sum<<7 | sum>>1
		sum += c
	}
	return sum
}
