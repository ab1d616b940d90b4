package session

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stuck is a log that nobody reads, until release is closed.
type stuck struct {
	slog.Handler
	release chan struct{}
}

func (s stuck) Handle(ctx context.Context, r slog.Record) error {
	<-s.release
	return s.Handler.Handle(ctx, r)
}

func (s stuck) WithAttrs(a []slog.Attr) slog.Handler { return stuck{s.Handler.WithAttrs(a), s.release} }

func (s stuck) WithGroup(n string) slog.Handler { return stuck{s.Handler.WithGroup(n), s.release} }

// A log that nobody reads holds up nothing: pictures, changes, newcomers, ends and the control API go on.
func TestLogThatNobodyReadsHoldsUpNothing(t *testing.T) {
	var log safeBuffer
	release := make(chan struct{})
	keys := &keyboard{}
	h := openSteeredWith(t, stuck{slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}), release}, keys, nil)
	defer h.close(t)
	defer close(release)
	h.alive(t)
	r, other := newRemote(t), newRemote(t)
	defer r.close()
	defer other.close()
	d := r.control(h)
	other.watch(h)
	goesOn := func(what string) {
		t.Helper()
		for _, one := range []*remote{r, other} {
			one.playing(t, 3)
		}
		if t.Failed() {
			t.Fatal(what)
		}
	}
	goesOn("at first")
	if err := d.Send(riftPress(30)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "control is taken", func() bool { return h.events(EventControl) == 1 })
	if _, err := h.Change(t.Context(), r.id, Change{MaxBitrate: new(300_000)}); err != nil {
		t.Fatal(err)
	}
	goesOn("after a change")
	h.screen.lose(errTest)
	eventually(t, "the display is lost", func() bool { return h.events(EventDisplayLost) == 1 })
	h.screen.lose(nil)
	goesOn("once the display is back")
	h.Drain(DrainOrder{})
	h.Resume()
	if _, err := h.Reserve(t.Context(), Reservation{Display: "default"}); err != nil {
		t.Fatal(err)
	}
	h.Manager.mu.Lock()
	v := h.sessions[r.id].viewer
	h.Manager.mu.Unlock()
	for range logsWaiting {
		v.log.Info("one of many")
	}
	goesOn("with more records than are kept")
	third := newRemote(t)
	defer third.close()
	third.watch(h)
	third.playing(t, 3)
	if err := h.End(t.Context(), third.id, EndOperator); err != nil {
		t.Fatal(err)
	}
	goesOn("after somebody has come and gone")
	if log.String() != "" {
		t.Error("the log was read, so this shows nothing")
	}
}

func TestRecordsAreWrittenInOrderUpToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		queue := newLogBehind()
		log := slog.New(behind{slog.NewTextHandler(&b, nil), queue})
		for range logsWaiting {
			log.With("session", "a").Info("kept")
		}
		log.Info("too many")
		done := make(chan struct{})
		go func() { defer close(done); queue.run(log) }()
		synctest.Wait()
		time.Sleep(time.Second)
		log.WithGroup("g").Info("last", "a", 1)
		queue.end()
		<-done
		log.Info("after the end")
		text := b.String()
		if n := strings.Count(text, "msg=kept session=a"); n != logsWaiting {
			t.Errorf("%d records are written; want %d", n, logsWaiting)
		}
		if strings.Contains(text, "too many") || strings.Contains(text, "after the end") || !strings.Contains(text, "records=1") || !strings.HasSuffix(text, "msg=last g.a=1\n") {
			t.Errorf("the log ends in %q", text[max(0, len(text)-300):])
		}
	})
}
