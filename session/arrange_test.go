package session

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// rates returns settled places with the wishes on the rungs.
func rates(rungs []int, wishes ...int) []place {
	var places []place
	for i, w := range wishes {
		places = append(places, place{rung: rungs[i], wish: w * 1000, settled: true})
	}
	return places
}

func TestBestArrangement(t *testing.T) {
	for _, c := range []struct {
		name   string
		rungs  []int
		wishes []int
		limit  int
		want   []int
	}{
		{"one viewer stays", []int{2}, []int{5000}, 3, []int{2}},
		{"equal paths share", []int{0, 1, 2}, []int{5000, 5200, 5400}, 3, []int{0, 0, 0}},
		{"the most stay where they are", []int{1, 1, 0}, []int{5000, 5000, 5000}, 3, []int{1, 1, 1}},
		{"a slow one parts", []int{0, 0}, []int{5000, 500}, 3, []int{0, 1}},
		{"of three the slow one parts", []int{1, 1, 1}, []int{500, 5000, 5000}, 3, []int{0, 1, 1}},
		{"three rates", []int{0, 0, 0, 0, 0}, []int{1000, 9000, 3000, 1000, 9000}, 3, []int{0, 1, 2, 0, 1}},
		{"of four rates the nearest share", []int{0, 0, 0, 0}, []int{1000, 9000, 3000, 2500}, 3, []int{1, 2, 0, 0}},
		{"the limit", []int{0, 0, 0}, []int{1000, 9000, 2500}, 2, []int{0, 1, 0}},
		{"one rung", []int{0, 0, 0}, []int{1000, 9000, 3000}, 1, []int{0, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			places := rates(c.rungs, c.wishes...)
			got := best(places, c.limit).rungs
			// The names of the rungs that nobody stays on do not matter.
			for i := range got {
				for j := range got {
					if (got[i] == got[j]) != (c.want[i] == c.want[j]) {
						t.Fatalf("got %v; want %v", got, c.want)
					}
				}
			}
			stay := func(to []int) (n int) {
				for i := range to {
					if to[i] == c.rungs[i] {
						n++
					}
				}
				return n
			}
			if stay(got) != stay(c.want) {
				t.Errorf("got %v, where %d stay; want %v", got, stay(got), c.want)
			}
		})
	}
}

func TestBestArrangementIsNeverWorseThanTheOneAtHand(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		places := make([]place, 1+r.IntN(12))
		for i := range places {
			places[i] = place{rung: r.IntN(maxRungs), wish: 100_000 << r.IntN(7) * (10 + r.IntN(5)) / 10}
		}
		limit := 1 + r.IntN(maxRungs)
		found := best(places, limit)
		if n := found.used(); n > limit {
			t.Fatalf("%d rungs for %+v; limit %d", n, places, limit)
		}
		for i := range places {
			places[i].rung = found.rungs[i]
		}
		if at := here(places); at.cost > found.cost+1e-9 || at.cost < found.cost-1e-9 {
			t.Fatalf("cost %v of %+v; told %v", at.cost, places, found.cost)
		}
		if again := best(places, limit); !slices.Equal(again.rungs, found.rungs) {
			t.Fatalf("the best of the best is another: %v, then %v", found.rungs, again.rungs)
		}
	}
}

func TestArrangerWaits(t *testing.T) {
	var a arranger
	start := time.Now()
	apart, level := rates([]int{0, 0}, 5000, 500), rates([]int{0, 1}, 5000, 5000)
	if a.decide(start, apart, 3) != nil || a.decide(start.Add(partAfter-1), apart, 3) != nil {
		t.Error("parted at once")
	}
	if a.decide(start.Add(partAfter), apart, 3) == nil {
		t.Fatal("did not part")
	}
	// They are alike and apart by turns, as on a path that comes and goes.
	now, waits := start, []time.Duration(nil)
	for range 6 {
		begun := now
		for a.decide(now, level, 3) == nil {
			now = now.Add(100 * time.Millisecond)
		}
		waits = append(waits, now.Sub(begun))
		for a.decide(now, apart, 3) == nil {
			now = now.Add(100 * time.Millisecond)
		}
	}
	want := []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute}
	if !slices.Equal(waits, want) {
		t.Errorf("waited %v to meet again; want %v", waits, want)
	}
	if a.decide(now, rates([]int{0, 1, 2}, 500, 5000, 50_000), 1) == nil {
		t.Error("more rungs than may be are used for a while")
	}
}

// TestTenViewersOnThreePathsUseThreeEncodes is a stage of its own: who is on which rung, and what it runs at.
func TestTenViewersOnThreePathsUseThreeEncodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		th := openTheater(t, Config{}, enc)
		wishes := []int{8_000_000, 8_000_000, 1_000_000, 3_000_000, 8_000_000, 3_000_000, 1_000_000, 8_000_000, 1_000_000, 3_000_000}
		var all []*spectator
		for range wishes {
			v := newSpectator()
			v.sit(th.rungs[0])
			all = append(all, v)
		}
		th.live(time.Second)
		if n := th.encodes(); n != 1 {
			t.Errorf("%d encodes for ten equal viewers; want 1", n)
		}
		for i, v := range all {
			v.set(func(a *ask) { a.bitrate = wishes[i] })
		}
		th.live(2 * time.Second)
		if n := th.encodes(); n != 3 {
			t.Errorf("%d encodes; want 3", n)
		}
		for i, v := range all {
			if got := v.rung().see().rate; got != wishes[i] {
				t.Errorf("viewer %d of %d bit/s is on a rung of %d", i, wishes[i], got)
			}
			if v.moves > 1 {
				t.Errorf("viewer %d moved %d times", i, v.moves)
			}
			v.decodable(t)
		}
		if th.screen.opened() != 1 {
			t.Errorf("%d captures; want 1", th.screen.opened())
		}
		for i, v := range all {
			if wishes[i] < 8_000_000 {
				v.rung().leave(v)
			}
		}
		th.live(emptyLinger + time.Second)
		if s := enc.Stats(); s.Opened-s.Closed != 1 || th.encodes() != 1 {
			t.Errorf("%d encoders are open, %d encode; want 1 and 1", s.Opened-s.Closed, th.encodes())
		}
		th.close(t)
	})
}

func BenchmarkArrange(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	places := make([]place, 100)
	for i := range places {
		places[i] = place{rung: r.IntN(maxRungs), wish: 100_000 + r.IntN(10_000_000), settled: true}
	}
	var a arranger
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		a.decide(now, places, maxRungs)
	}
}

// TestHardwareWithRoomForOneEncode gives the second encode to the next encoder, and goes on to use the first.
func TestHardwareWithRoomForOneEncode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "one", Hardware: true}, Limit: 1})
		th := openTheater(t, Config{}, one, encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "next"}}))
		a, b := newSpectator(), newSpectator()
		b.wish.bitrate = 200_000
		a.sit(th.rungs[0])
		b.sit(th.rungs[1])
		move(th.screen, time.Second)
		if first, second := th.rungs[0].see().encoder, th.rungs[1].see().encoder; first == second {
			t.Errorf("both encodes are by %q", first)
		}
		roster := th.rungs[0].roster
		if got := roster.standings(time.Now(), encode.H264)[0]; got.profile.Name != "one" || got.most != 1 || !got.learnt {
			t.Errorf("%+v is what is known; want one, and that there is room for one", got)
		}
		if got := roster.order(time.Now(), encode.H264)[0].Profile().Name; got != "next" {
			t.Errorf("the third encode would be by %q; want next", got)
		}
		th.mu.Lock()
		if e := th.events[len(th.events)-1]; e.Kind != EventEncoderFallback || e.Reason != fallbackFull || e.From != "one" || e.To != "next" {
			t.Errorf("the event is %+v", e)
		}
		th.mu.Unlock()
		a.rung().leave(a)
		b.rung().leave(b)
		time.Sleep(2 * emptyLinger)
		if got := roster.standings(time.Now(), encode.H264)[0]; got.uses != 0 {
			t.Errorf("%d encoders count as open though nobody is on a rung", got.uses)
		}
		if got := roster.order(time.Now(), encode.H264)[0].Profile().Name; got != "one" {
			t.Errorf("the next encode would be by %q; want the one that has room again", got)
		}
		th.close(t)
	})
}

// stallingFactory is an encoder's that opens once; later calls do not return before release is closed.
type stallingFactory struct {
	encode.Factory
	opens   *atomic.Int64
	release chan struct{}
}

func (f stallingFactory) Open(p encode.Params) (encode.Encoder, error) {
	if f.opens.Add(1) == 1 {
		return f.Factory.Open(p)
	}
	<-f.release
	return nil, encode.ErrNoEncoder
}

// TestHardwareThatHangsIsNotFull does not take a driver that does not return for one that has no room.
func TestHardwareThatHangsIsNotFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		card := stallingFactory{
			encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "card", Hardware: true}}), new(atomic.Int64), make(chan struct{}),
		}
		th := openTheater(t, Config{}, card, encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "next"}}))
		a, b := newSpectator(), newSpectator()
		a.sit(th.rungs[0])
		move(th.screen, time.Second)
		b.wish.bitrate = 200_000
		b.sit(th.rungs[1])
		move(th.screen, openTimeout+time.Second)
		if first, second := th.rungs[0].see().encoder, th.rungs[1].see().encoder; first != "card" || second != "next" {
			t.Errorf("the encodes are by %q and %q; want card and next", first, second)
		}
		roster := th.rungs[0].roster
		for _, s := range roster.standings(time.Now(), encode.H264) {
			if s.learnt {
				t.Errorf("%+v: a limit was learnt of a call that hangs", s)
			}
		}
		if got := roster.order(time.Now(), encode.H264)[0].Profile().Name; got != "next" {
			t.Errorf("the next encode would be by %q; want the one that answers", got)
		}
		th.mu.Lock()
		if e := th.events[len(th.events)-1]; e.Kind != EventEncoderFallback || e.Reason != fallbackHang || e.From != "card" {
			t.Errorf("the event is %+v", e)
		}
		th.mu.Unlock()
		close(card.release)
		th.close(t)
	})
}

// A controller's event names the display with the controller's lock held, while the encode loop hands a picture over with the seats' lock held and wants the controller's.
func TestWhatIsShownIsKnownWithoutALock(t *testing.T) {
	v := &viewer{}
	v.sit(&openStage{stage: &stage{display: Display{ID: "d"}}}, nil)
	v.seats.mu.Lock()
	defer v.seats.mu.Unlock()
	if !v.seats.mu.TryLock() && v.showing() != "d" { // it hangs where showing takes the lock
		t.Error("another display")
	}
}
