package edge

import (
	"fmt"
	"time"

	"wavryhost/session/api/bucket"
)

// Limits bound the requests of clients. Zero fields take the defaults that are named here.
type Limits struct {
	// PerAddress is the number of requests per second that one network may make, and five times as many at once. It
	// defaults to 200: a gateway that opens a few hundred sessions at once stays below.
	PerAddress int
	// InAll is the number of requests per second that all unknown networks together may make, and twice as many at
	// once. A network is known when it has recently shown a valid credential. InAll defaults to 2000.
	InAll int
	// Attempts is the number of wrong credentials in a row that are answered at once, for each network. After that,
	// one every two seconds is. It defaults to 10.
	Attempts int
}

// How many seconds' worth of requests may come at once.
const burstPerAddress, burstInAll = 5, 2

// wrongInterval is the time between two attempts of a network that has shown too many wrong credentials in a row. With
// the shortest token allowed nobody guesses a token at that rate, and nobody who mistypes one waits long.
const wrongInterval = 2 * time.Second

// signatureRate is how many signatures the server checks for a network that has used up its attempts. A check takes
// about 0.1 ms.
var signatureRate = bucket.Rate{Interval: 50 * time.Millisecond, Burst: 100}

// WithDefaults returns l with its zero fields set.
func (l Limits) WithDefaults() Limits {
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

// Validate returns what is wrong with l, whose defaults are set.
func (l Limits) Validate() error {
	const most = 1_000_000 // a second can be divided by it
	for _, f := range []struct {
		name  string
		value int
	}{{"requests per address", l.PerAddress}, {"requests in total", l.InAll}, {"wrong attempts", l.Attempts}} {
		if f.value < 0 || f.value > most {
			return fmt.Errorf("api: limit of %s %d is not from 1 to %d", f.name, f.value, most)
		}
	}
	return nil
}

func (l Limits) perAddress() bucket.Rate {
	return bucket.Rate{Interval: time.Second / time.Duration(l.PerAddress), Burst: burstPerAddress * l.PerAddress}
}

func (l Limits) inAll() bucket.Rate {
	return bucket.Rate{Interval: time.Second / time.Duration(l.InAll), Burst: burstInAll * l.InAll}
}

func (l Limits) wrong() bucket.Rate { return bucket.Rate{Interval: wrongInterval, Burst: l.Attempts} }
