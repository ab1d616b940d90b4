package api

import "fmt"

// Limits bound what clients may ask for. Zero fields take the defaults named here.
type Limits struct {
	// PerAddress is how many requests a second one network may make, and five times as many at once. It defaults to 200: a gateway that opens a few hundred
	// sessions at once stays below.
	PerAddress int
	// InAll is how many a second those networks together may make that showed no right credentials lately, and twice as many at once. It defaults to 2000.
	InAll int
	// Attempts is how many wrong credentials in a row are answered at once, for each network; then one in two seconds is. It defaults to 10.
	Attempts int
}

// How many seconds' worth of requests may come at once.
const burstOfAddress, burstInAll = 5, 2

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field   *int
		initial int
	}{{&l.PerAddress, 200}, {&l.InAll, 2000}, {&l.Attempts, 10}} {
		if *f.field == 0 {
			*f.field = f.initial
		}
	}
	return l
}

func (l Limits) validate() error {
	// More than a million a second is no limit, and a second can be divided by it.
	const most = 1_000_000
	for _, f := range []struct {
		name  string
		value int
	}{{"requests of an address", l.PerAddress}, {"requests in all", l.InAll}, {"wrong attempts", l.Attempts}} {
		if f.value < 0 || f.value > most {
			return fmt.Errorf("api: limit of %s %d is not from 1 to %d", f.name, f.value, most)
		}
	}
	return nil
}
