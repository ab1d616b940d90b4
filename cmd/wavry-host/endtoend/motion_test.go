//go:build integration

package endtoend

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/platform/input"
)

// injector runs an Injector for sway's first output, until the test ends.
func (s *compositor) injector(t *testing.T) *input.Injector {
	t.Helper()
	j := input.New(
		input.Config{Display: "test", Open: input.Wayland(filepath.Join(s.dir, "wayland-1"), "HEADLESS-1")},
		slog.New(slog.NewTextHandler(t.Output(), nil)), input.NewMetrics(prometheus.NewRegistry()),
	)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return j
}

// numbers returns the numbers in all places where a pattern matches.
func numbers(pattern *regexp.Regexp, text string) (all [][]float64) {
	for _, found := range pattern.FindAllStringSubmatch(text, -1) {
		var list []float64
		for _, group := range found[1:] {
			n, err := strconv.ParseFloat(group, 64)
			if err != nil {
				n = math.NaN()
			}
			list = append(list, n)
		}
		all = append(all, list)
	}
	return all
}

// What wev prints. It calls a discrete axis event axis_stop.
var (
	wevMotion = regexp.MustCompile(`motion: [^\n]*x, y: (-?[0-9.]+), (-?[0-9.]+)`)
	wevAxis   = regexp.MustCompile(`axis: time: [^\n]*axis: ([01]) \([a-z]+\), value: (-?[0-9.]+)`)
	wevWheel  = regexp.MustCompile(`axis: ([01]) \([a-z]+\), discrete: (-?[0-9]+)`)
)

// A program of sway gets the motion in full, and fine scrolling as it was given. The pointer stays on the output.
func TestMotionOnSway(t *testing.T) {
	t.Parallel()
	s := startSway(t)
	watch := s.program(t, "stdbuf", "-oL", "wev")
	j := s.injector(t)
	at := func(what string, act func(), x, y float64) {
		t.Helper()
		act()
		eventually(t, patience, what, func() error {
			all := numbers(wevMotion, watch.out.String())
			if len(all) == 0 {
				return errNotYet
			}
			if got := all[len(all)-1]; math.Abs(got[0]-x) > .02 || math.Abs(got[1]-y) > .02 {
				return fmt.Errorf("the pointer is at %v; want %v,%v", got, x, y)
			}
			return nil
		})
	}
	// The window may be there a moment after its program.
	eventually(t, patience, "the window gets positions", func() error {
		j.Move(.25, .25)
		j.Move(.5, .5)
		if !wevMotion.MatchString(watch.out.String()) {
			return errNotYet
		}
		return nil
	})
	at("a position", func() { j.Move(.5, .25) }, 640, 180)
	at("a motion", func() { j.MoveBy(25, -13) }, 665, 167)
	at("parts of a pixel", func() {
		for range 300 {
			j.MoveBy(-.3, .1)
		}
	}, 575, 197)
	s.msg(t, "create_output")
	at("motion over the edge", func() { j.MoveBy(5000, 0) }, 1279, 197)
	at("motion back", func() { j.MoveBy(-100, 0) }, 1179, 197)

	// scrolled waits until the wheel has turned by units on an axis, and whole notches.
	scrolled := func(what string, from int, axis, units, notches float64, source string) {
		t.Helper()
		eventually(t, patience, what, func() error {
			out := watch.out.String()[from:]
			var sum, whole float64
			for _, n := range numbers(wevAxis, out) {
				if n[0] == axis {
					sum += n[1]
				}
			}
			for _, n := range numbers(wevWheel, out) {
				if n[0] == axis {
					whole += n[1]
				}
			}
			if math.Abs(sum-units) > .02 || whole != notches || !strings.Contains(out, source) {
				return fmt.Errorf("got %v units and %v notches; want %v and %v of %q: %s", sum, whole, units, notches,
					source, tail(out, 1000))
			}
			return nil
		})
	}
	from := len(watch.out.String())
	for range 30 {
		j.Scroll(0, -1./30)
	}
	j.Scroll(0, -1./4)
	scrolled("slow scrolling down", from, 0, 15*1.25, 0, "(continuous)")
	from = len(watch.out.String())
	j.Scroll(.125, 0)
	scrolled("an eighth of a notch to the right", from, 1, 15./8, 0, "(continuous)")
	from = len(watch.out.String())
	j.Scroll(0, 2)
	scrolled("two notches of a wheel up", from, 0, -30, -2, "(wheel)")
}
