package session

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
	"wavryhost/session/pipeline"
)

func TestAnotherDefaultDisplayIsToldAndSessionsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := newScreen(64, 64)
		one, two := screen.display(), newScreen(64, 64).display()
		one.ID, two.ID = "virtual", "x11:0"
		var mu sync.Mutex
		displays := []Display{one}
		cfg := Config{
			Encoders: []encode.Factory{encodetest.New(encodetest.Config{})},
			Displays: func(context.Context) []Display {
				mu.Lock()
				defer mu.Unlock()
				return displays
			},
		}
		m, err := NewManager(cfg, slog.New(slog.DiscardHandler), NewMetrics(prometheus.NewRegistry()))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		time.Sleep(5 * time.Second)
		f, err := m.opener.acquire(t.Context(), one, Offer{}, encode.H264, 0)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		displays = []Display{two}
		mu.Unlock()
		time.Sleep(5 * time.Second)
		got, _, _ := m.journal.Events(0)
		got = slices.DeleteFunc(got, func(e EventRecord) bool { return e.Kind != EventDefault.String() })
		if len(got) != 1 || got[0].From != "virtual" || got[0].To != "x11:0" {
			t.Errorf("got events %+v; want one, from virtual to x11:0", got)
		}
		// A display with viewers is listed though it is not found any more.
		list := m.Host().Displays
		if len(list) != 2 || list[0].ID != "x11:0" || list[1].ID != "virtual" ||
			list[1].State != pipeline.Live.String() || list[1].Viewers != 1 {
			t.Errorf("got displays %+v; want the new default and the one that is watched", list)
		}
		f.release()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
