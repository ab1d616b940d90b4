package display

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// twoMonitors is a screen with monitors side by side.
func twoMonitors() Screen {
	return Screen{Width: 2304, Height: 1068, Scale: 1.5, Monitors: []Monitor{
		{Name: "DP-1", Width: 1280, Height: 720, Layout: Layout{Scale: 1.5, Primary: true}},
		{Name: "DP-2", Width: 1024, Height: 768, Layout: Layout{X: 1280, Y: 300, Rotation: 90, Scale: 1.5}},
	}}
}

func TestMonitorsAreDisplays(t *testing.T) {
	h := newHouse(t)
	h.server(t, "7")
	h.says(":7", func(context.Context) ([]Screen, error) {
		one := Screen{Width: 640, Height: 480, Monitors: []Monitor{{Name: "screen", Width: 640, Height: 480}}}
		return []Screen{one, twoMonitors()}, nil
	})
	r := h.registry()
	r.Look(t.Context())
	list := r.List()
	want := []string{ // a monitor that fills its screen is that screen
		"x11:7 usable 640x480", "x11:7.1 usable 2304x1068",
		"x11:7.1@DP-1 usable 1280x720", "x11:7.1@DP-2 usable 1024x768",
	}
	if got := short(list); !slices.Equal(got, want) {
		t.Fatalf("got %q; want %q", got, want)
	}
	if d := list[3]; d.Address != ":7.1" || d.Monitor != "DP-2" || d.Layout != twoMonitors().Monitors[1].Layout {
		t.Errorf("got %+v", d)
	}
	if list[1].Scale != 1.5 {
		t.Errorf("got scale %v of the screen; want 1.5", list[1].Scale)
	}
	if a := parseAddress("host:7.1@DP-2"); a.base() != (address{server: "host:7", remote: true}) || a.screen != 1 ||
		a.monitor != "DP-2" {
		t.Errorf("got %+v", a)
	}
}

func TestHotplugIsReportedAtOnce(t *testing.T) {
	h := newHouse(t)
	h.server(t, "7")
	synctest.Test(t, func(t *testing.T) {
		reports, watches, lost := make(chan []Screen), atomic.Int32{}, make(chan struct{})
		h.env.X.Watch = func(ctx context.Context, _ string, _ []string, report func([]Screen)) error {
			watches.Add(1)
			for {
				select {
				case list := <-reports:
					report(list)
				case <-lost:
					return errors.New("it has reset")
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		r := h.registry()
		r.Look(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		changes := make(chan int, 100)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.Run(ctx, func() { changes <- len(r.List()) })
		}()
		time.Sleep(lookInterval + lookInterval/2)
		synctest.Wait()
		for len(changes) > 0 {
			<-changes
		}
		reports <- []Screen{twoMonitors()}
		synctest.Wait()
		select {
		case n := <-changes:
			if n != 3 {
				t.Errorf("%d displays after a monitor was plugged in; want 3", n)
			}
		default:
			t.Error("the change is not reported before the next check")
		}
		reports <- []Screen{twoMonitors()} // nothing has changed
		synctest.Wait()
		if len(changes) != 0 {
			t.Error("a report without a change is passed on")
		}
		// A server that drops the watch soon after it began is probed, and not watched again at once.
		lost <- struct{}{}
		time.Sleep(10 * lookInterval)
		if n := watches.Load(); n != 1 || h.count(":7") != 2 {
			t.Errorf("%d watches, %d probes; want 1 and 2", n, h.count(":7"))
		}
		time.Sleep(watchPause)
		if n := watches.Load(); n != 2 {
			t.Errorf("%d watches after the pause; want 2", n)
		}
		cancel()
		<-ended
	})
}
