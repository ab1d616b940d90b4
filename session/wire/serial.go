package wire

import "time"

// wrapping unwraps a receiver's clock with that many bits.
type wrapping struct {
	newest int64
	any    bool
}

func (c *wrapping) unwrap(reference uint32, bits uint) int64 {
	span := int64(1) << bits
	r := int64(reference) & (span - 1)
	if c.any {
		d := (r - c.newest) & (span - 1)
		if d >= span/2 {
			d -= span
		}
		r = c.newest + d
	}
	if !c.any || r > c.newest {
		c.newest, c.any = r, true
	}
	return r
}

// arrivalEpoch is the begin of the receiver's clock for us: any time that is neither zero nor near negative times.
var arrivalEpoch = time.Unix(1<<30, 0)

// serial follows an 8-bit number that counts up and wraps.
type serial struct {
	newest uint8
	any    bool
}

// step returns how far n is ahead of the newest number: 1 for the next and for the first, 0 for a repetition, negative
// for an older one.
func (s *serial) step(n uint8) int {
	d := 1
	if s.any {
		d = int(int8(n - s.newest)) // serial number arithmetic
	}
	if d > 0 {
		s.newest, s.any = n, true
	}
	return d
}
