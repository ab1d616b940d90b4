package pressure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestParseEngines(t *testing.T) {
	// As the kernel's Documentation/gpu/drm-usage-stats.rst has them.
	intel := "pos:\t0\nflags:\t02100002\ndrm-driver:\ti915\ndrm-client-id:\t7\ndrm-pdev:\t0000:00:02.0\n" +
		"drm-engine-render:\t25662044495 ns\n" +
		"drm-engine-copy:\t0 ns\ndrm-engine-video:\t1500000000 ns\ndrm-engine-capacity-video:\t2\n" +
		"drm-engine-video-enhance:\t9 ns\n"
	amd := "drm-driver:\tamdgpu\ndrm-client-id:\t49\ndrm-pdev:\t0000:03:00.0\ndrm-engine-gfx:\t5 ns\n" +
		"drm-engine-dec:\t7 ns\ndrm-engine-enc:\t200 ns\ndrm-engine-enc_1:\t50 ns\n"
	for text, want := range map[string]engines{
		intel: {"0000:00:02.0", "7", 1500 * time.Millisecond},
		amd:   {"0000:03:00.0", "49", 250},
	} {
		if got, ok := parseEngines([]byte(text)); !ok || got != want {
			t.Errorf("got %+v, %v; want %+v", got, ok, want)
		}
	}
	for _, text := range []string{"", "pos: 0\nflags: 02\n", "drm-pdev: x\n", "drm-client-id: 1\ndrm-engine-video: x ns"} {
		if got, ok := parseEngines([]byte(text)); ok {
			t.Errorf("%q gives %+v", text, got)
		}
	}
}

func TestGPUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var fail atomic.Bool
		n := 0
		g := newGPUs(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), []driver{
			{"absent", func() ([]GPU, error) { return nil, fmt.Errorf("%w: test", ErrUnsupported) }},
			{"hangs", func() ([]GPU, error) {
				if n++; n == 3 {
					<-hang
				}
				if fail.Load() {
					return nil, errors.New("test error")
				}
				return []GPU{{ID: "nvidia0", Encoder: .5, MemoryTotal: 8 << 30, Sessions: 3}}, nil
			}},
			{"good", func() ([]GPU, error) { return []GPU{{ID: "card0", Busy: .25}}, nil }},
		})
		if got := g.Read(); len(got) != 0 {
			t.Errorf("it knows %v before it runs", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		synctest.Wait()
		if got := g.Read(); len(got) != 2 || got[0].Encoder != .5 || got[1].Busy != .25 {
			t.Errorf("%+v", got)
		}
		if v := testutil.ToFloat64(g.sessions.WithLabelValues("nvidia0")); v != 3 {
			t.Errorf("%v sessions in the metric", v)
		}
		time.Sleep(2*gpuInterval + gpuPatience - time.Millisecond) // the third question is asked after two gpuIntervals
		if got := g.Read(); len(got) != 2 {
			t.Errorf("a driver that is slow is forgotten: %+v", got)
		}
		time.Sleep(gpuInterval)
		if got := g.Read(); len(got) != 1 || got[0].ID != "card0" {
			t.Errorf("a driver that hangs still counts: %+v", got)
		}
		if n := testutil.CollectAndCount(g.sessions); n != 1 {
			t.Errorf("%d series; want that of card0", n)
		}
		close(hang)
		synctest.Wait()
		if got := g.Read(); len(got) != 2 {
			t.Errorf("it is not back: %+v", got)
		}
		fail.Store(true)
		time.Sleep(2 * gpuInterval)
		synctest.Wait()
		if got := g.Read(); len(got) != 1 {
			t.Errorf("figures of a card that fails: %+v", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A driver that never returns delays the end by no more than the patience for drivers.
func TestGPUsEndWithoutAHungDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := newGPUs(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), []driver{{"hung", func() ([]GPU, error) {
			<-release
			return nil, nil
		}}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		synctest.Wait()
		cancel()
		began := time.Now()
		if err := <-done; err != nil || time.Since(began) != gpuPatience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		close(release)
	})
}

// A panic in a driver, for instance at a file that it does not understand, is a failure of that driver.
func TestPanicOfAGPUDriverIsItsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		g := newGPUs(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), []driver{
			{"cracked", func() ([]GPU, error) {
				if asked.Add(1) == 2 {
					panic("planted in a driver")
				}
				return []GPU{{ID: "card0"}}, nil
			}},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		time.Sleep(time.Hour)
		if asked.Load() < 3 || len(g.Read()) != 1 {
			t.Errorf("after %d questions: %v; want it asked again, and answering", asked.Load(), g.Read())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A driver that comes after the start is found on request, and otherwise after a while. A driver that goes is searched
// again.
func TestDriverThatComesLater(t *testing.T) {
	for name, look := range map[string]bool{"asked for": true, "by itself": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var there atomic.Bool
				var asked atomic.Int64
				g := newGPUs(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), []driver{{"late", func() ([]GPU, error) {
					asked.Add(1)
					if !there.Load() {
						return nil, fmt.Errorf("%w: test", ErrUnsupported)
					}
					return []GPU{{ID: "nvidia0"}}, nil
				}}})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- g.Run(ctx) }()
				time.Sleep(gpuSearch - time.Second)
				if n := asked.Load(); n != 1 {
					t.Errorf("a driver that is not there was asked %d times; want once", n)
				}
				there.Store(true)
				if look {
					g.Look()
				} else {
					time.Sleep(time.Second)
				}
				synctest.Wait()
				if got := g.Read(); len(got) != 1 {
					t.Fatalf("%+v; want the card that came", got)
				}
				there.Store(false)
				time.Sleep(gpuInterval)
				synctest.Wait()
				if got := g.Read(); len(got) != 0 {
					t.Errorf("%+v; want none after it went", got)
				}
				there.Store(true)
				time.Sleep(gpuSearch)
				synctest.Wait()
				if got := g.Read(); len(got) != 1 {
					t.Errorf("%+v; want the card that is back", got)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A look that comes while the driver is being asked is not answered by what it found before.
func TestLookDuringAQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, answer := make(chan struct{}), make(chan error)
		g := newGPUs(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), []driver{{"slow", func() ([]GPU, error) {
			began <- struct{}{}
			if err := <-answer; err != nil {
				return nil, err
			}
			return []GPU{{ID: "nvidia0"}}, nil
		}}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		<-began
		g.Look()
		synctest.Wait()
		answer <- ErrUnsupported
		asked := time.Now()
		<-began
		if took := time.Since(asked); took != 0 {
			t.Errorf("it was asked again after %v; want at once", took)
		}
		answer <- nil
		synctest.Wait()
		if got := g.Read(); len(got) != 1 {
			t.Errorf("%+v; want the card", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestGPUMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	g := NewGPUs(reg, slog.New(slog.DiscardHandler))
	if families, err := reg.Gather(); err != nil || len(families) != 0 {
		t.Errorf("%d metrics without a card, %v", len(families), err)
	}
	if len(g.drivers) == 0 {
		t.Skip("nothing tells of cards on this system")
	}
	g.put(0, []GPU{{ID: "nvidia0"}})
	problems, err := testutil.GatherAndLint(reg)
	families, err2 := reg.Gather()
	if err != nil || err2 != nil || len(problems) > 0 || len(families) != 5 {
		t.Errorf("%d metrics, %v, %v, %v", len(families), problems, err, err2)
	}
}
