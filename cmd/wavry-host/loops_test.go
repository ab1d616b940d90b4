package main

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/session/logtest"
	"wavryhost/session/progress"
)

// toldLoops are events of loops.
type toldLoops []string

func (e *toldLoops) LoopStalled(kind string, _ error) uint64 {
	*e = append(*e, "stalled "+kind)
	return uint64(len(*e))
}

func (e *toldLoops) LoopResumed(kind string) uint64 {
	*e = append(*e, "resumed "+kind)
	return uint64(len(*e))
}

// A loop of any kind that hangs is seen within 10 s: by the metric, by an event, by one line of the log, and by the
// service manager, which gets no sign of life. When the loop continues, so does the daemon.
func TestHungLoopIsSeen(t *testing.T) {
	for _, kind := range progress.Kinds() {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logtest.Buffer
				l := newLoops(prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&log, nil)))
				ctx, cancel := context.WithCancel(t.Context())
				hang := make(chan struct{})
				var hanging atomic.Bool
				var asked atomic.Int32
				var events toldLoops
				api := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					asked.Add(1)
					if hanging.Load() {
						<-hang
					}
				})
				done := make(chan error)
				go func() { done <- l.run(ctx, api, &events) }()
				time.Sleep(time.Minute)
				synctest.Wait()
				if !l.progressing() || asked.Load() < 50 || log.String() != "" {
					t.Fatalf("in a good minute: progressing %v, %d requests, log %s", l.progressing(), asked.Load(),
						log.String())
				}

				if kind == progress.API {
					hanging.Store(true)
				} else {
					go func() {
						steps := l.board.Loop(kind, "")
						defer steps.Close()
						steps.Step(func() { <-hang })
					}()
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if l.progressing() {
					t.Error("the service manager gets signs of life")
				}
				if s := testutil.ToFloat64(l.stall.WithLabelValues(kind)); s < 8 || s > 10 {
					t.Errorf("the metric is %v s", s)
				}
				if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "loop="+kind) {
					t.Errorf("the log has %q", log.String())
				}
				if want := []string{"stalled " + kind}; !slices.Equal(events, want) {
					t.Errorf("events %q; want %q", events, want)
				}
				hanging.Store(false)
				close(hang)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if !l.progressing() || testutil.CollectAndCount(l.stall) != 0 ||
					strings.Count(log.String(), "\n") != 2 {
					t.Errorf("after the hang: progressing %v, log %s", l.progressing(), log.String())
				}
				if want := []string{"stalled " + kind, "resumed " + kind}; !slices.Equal(events, want) {
					t.Errorf("events %q; want %q", events, want)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
