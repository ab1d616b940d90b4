package monitoring

import (
	"math"
	"time"
	"unicode/utf8"
)

// scaled is a unit as people read it. Values of the dashboard's unit are multiplied by factor.
type scaled struct {
	from   float64 // the smallest value for which it serves
	factor float64
	name   string
}

// units are Grafana's names of units with how people read them, the largest first.
var units = map[string][]scaled{
	"short":       {{factor: 1}},
	"percentunit": {{factor: 100, name: "%"}},
	"ops":         {{factor: 1, name: "per s"}},
	"fps":         {{factor: 1, name: "per s"}},
	"s": {
		{(2 * day).Seconds(), 1 / day.Seconds(), "days"},
		{(2 * time.Hour).Seconds(), 1 / time.Hour.Seconds(), "h"},
		{(2 * time.Minute).Seconds(), 1 / time.Minute.Seconds(), "min"},
		{1, 1, "s"},
		{1e-3, 1e3, "ms"},
		{0, 1e6, "µs"},
	},
	"bytes": {{1 << 30, 1. / (1 << 30), "GiB"}, {1 << 20, 1. / (1 << 20), "MiB"}, {0, 1. / (1 << 10), "KiB"}},
	"bps":   {{1e6, 1e-6, "Mbit/s"}, {0, 1e-3, "kbit/s"}},
}

const day = 24 * time.Hour

// scale returns the factor and the name of a unit for values up to most.
func scale(unit string, most float64) (factor float64, name string) {
	for _, u := range units[unit] {
		if most >= u.from {
			return u.factor, u.name
		}
	}
	return math.NaN(), unit
}

// textWidth returns about how wide a text of 11 pixels is.
func textWidth(s string) float64 { return letterWidth * float64(utf8.RuneCountInString(s)) }
