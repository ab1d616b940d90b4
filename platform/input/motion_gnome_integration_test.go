//go:build integration && linux

package input

import (
	"fmt"
	"math"
	"os"
	"testing"

	"wavryhost/platform/screencast/screencasttest"
	"wavryhost/platform/wlproto/wlprototest"
)

// A program of GNOME gets motion in full, and fine scrolling as it was given.
func TestMotionOnGNOME(t *testing.T) {
	g := screencasttest.Start(t, "1280x720") // mutter resizes windows that are too large
	motionOnMutter(t, g, func() *Injector { return injectGNOME(t, g.Bus) })
}

// A program gets the same by the portal.
func TestMotionByPortal(t *testing.T) {
	g := screencasttest.Start(t, "1280x720")
	screencasttest.StartPortal(t, g.Bus, g)
	p, _ := capturedPortal(t, g)
	motionOnMutter(t, g, func() *Injector { return inject(t, Portal(p)) })
}

func motionOnMutter(t *testing.T, g *screencasttest.GNOME, start func() *Injector) {
	t.Helper()
	g.Run("sh", "-c", "exec stdbuf -oL wev > wev")
	read := func() string {
		b, err := os.ReadFile(g.Path("wev"))
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	j := start()
	last := func() (at [2]float64) {
		if all := wlprototest.ReadWev(read()).Motions; len(all) > 0 {
			at = all[len(all)-1]
		}
		return at
	}
	// The window comes a moment after its program, and mutter animates that: then distances are shorter. Two positions
	// at a time might become one, so each waits a while for the one before.
	var from [2]float64
	place, seen, looks := .3, 0, 0
	g.Await("the window is in place", func() bool {
		all := wlprototest.ReadWev(read()).Motions
		n := len(all)
		if looks++; n == seen && looks < 50 {
			return false
		}
		if n > seen && n > 1 {
			from = all[n-1]
			if before := all[n-2]; math.Abs(from[0]-before[0]) == 32 && from[1] == before[1] {
				return true
			}
		}
		seen, looks = n, 0
		place = .625 - place
		j.Move(place, .35)
		return false
	})
	before := from
	j.Move(.4, .35)
	eventually(t, "a position after the others", func() error {
		if from = last(); from[0]-before[0] != 96 && from[0]-before[0] != 128 {
			return fmt.Errorf("the pointer went from %v to %v", before, from)
		}
		return nil
	})
	moved := func(what string, dx, dy float64) {
		t.Helper()
		eventually(t, what, func() error {
			if at := last(); math.Abs(at[0]-from[0]-dx) > .02 || math.Abs(at[1]-from[1]-dy) > .02 {
				return fmt.Errorf("the pointer went from %v to %v; want %v,%v more", from, at, dx, dy)
			}
			return nil
		})
	}
	j.MoveBy(20, -10)
	moved("a motion", 20, -10)
	for range 300 {
		j.MoveBy(.1, .05)
	}
	moved("parts of a pixel", 50, 5)

	scrolled := func(what string, from int, axis, units, notches float64, source string) {
		t.Helper()
		eventually(t, what, func() error {
			return wlprototest.ReadWev(read()[from:]).Scrolled(axis, units, notches, source)
		})
	}
	begun := len(read())
	for range 4 {
		j.Scroll(0, -1./16)
	}
	scrolled("slow scrolling down", begun, 0, 10./4, 0, "(continuous)")
	begun = len(read())
	j.Scroll(.125, 0)
	scrolled("an eighth of a notch to the right", begun, 1, 10./8, 0, "(continuous)")
	begun = len(read())
	j.Scroll(0, 2)
	scrolled("two notches of a wheel up", begun, 0, -20, -2, "(wheel)")
}
