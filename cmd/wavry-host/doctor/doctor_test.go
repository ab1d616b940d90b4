package doctor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A check that hangs or panics has a finding of its own, and the others have theirs.
func TestBadChecksDoNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		got := Run(t.Context(), []Check{
			{"slow", "", func(ctx context.Context) Finding { <-ctx.Done(); return Fine("late") }},
			{"broken", "", func(context.Context) Finding { panic("ouch") }},
			{"good", "", func(context.Context) Finding { time.Sleep(time.Second); return Fine("well") }},
		}, 2*time.Second)
		synctest.Wait()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		for i, want := range []Status{Warning, Failed, OK} {
			if got[i].Status != want || got[i].Evidence == "" || want != OK && got[i].Fix == "" {
				t.Errorf("got %+v; want %s", got[i], want)
			}
		}
		if got[2].Seconds != 1 {
			t.Errorf("the good check took %v s", got[2].Seconds)
		}
	})
}

// The figures of the running system can be read.
func TestThisMachine(t *testing.T) {
	for _, r := range Run(t.Context(), This(0, 2).Checks(), time.Minute) {
		if r.Evidence == "" || (r.Status == Warning || r.Status == Failed) != (r.Fix != "") {
			t.Errorf("got %+v", r)
		}
	}
}
