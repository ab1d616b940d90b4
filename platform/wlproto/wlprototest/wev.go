//go:build linux

package wlprototest

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// What wev prints. It calls a discrete axis event axis_stop.
var (
	wevPointer = regexp.MustCompile(`\[([0-9]+): +wl_pointer\]`)
	wevMotion  = regexp.MustCompile(`motion: [^\n]*x, y: (-?[0-9.]+), (-?[0-9.]+)`)
	wevAxis    = regexp.MustCompile(`axis: time: [^\n]*axis: ([01]) \([a-z]+\), value: (-?[0-9.]+)`)
	wevWheel   = regexp.MustCompile(`axis: ([01]) \([a-z]+\), discrete: (-?[0-9]+)`)
)

// Wev is what the program wev got of a pointer.
type Wev struct {
	// Text has the lines of the newest wl_pointer. Wev makes another one each time the seat gets a device, and then
	// prints each event twice.
	Text string
	// Motions are the positions, in the window.
	Motions [][2]float64
}

// ReadWev reads the output of wev.
func ReadWev(out string) Wev {
	all := wevPointer.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		return Wev{}
	}
	var lines []string
	for line := range strings.Lines(out) {
		if found := wevPointer.FindStringSubmatch(line); found != nil && found[1] == all[len(all)-1][1] {
			lines = append(lines, line)
		}
	}
	w := Wev{Text: strings.Join(lines, "")}
	w.Motions = pairs(wevMotion, w.Text)
	return w
}

// Scrolled returns an error unless the wheel turned by units on an axis (0 is vertical), and by whole notches, from a
// source.
func (w Wev) Scrolled(axis, units, notches float64, source string) error {
	sum := func(pattern *regexp.Regexp) (total float64) {
		for _, n := range pairs(pattern, w.Text) {
			if n[0] == axis {
				total += n[1]
			}
		}
		return total
	}
	if got, whole := sum(wevAxis), sum(wevWheel); math.Abs(got-units) > .02 || whole != notches ||
		!strings.Contains(w.Text, source) {
		return fmt.Errorf("got %v units and %v notches; want %v and %v of %q: %s", got, whole, units, notches, source,
			w.Text)
	}
	return nil
}

// pairs returns the two numbers in all places where a pattern matches.
func pairs(pattern *regexp.Regexp, text string) (all [][2]float64) {
	for _, found := range pattern.FindAllStringSubmatch(text, -1) {
		var pair [2]float64
		for i := range pair {
			n, err := strconv.ParseFloat(found[1+i], 64)
			if err != nil {
				n = math.NaN()
			}
			pair[i] = n
		}
		all = append(all, pair)
	}
	return all
}
