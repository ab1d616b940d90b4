package pipeline

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

// rates returns settled places with these available rates (in kbit/s) at encodings.
func rates(encodings []int, available ...int) []place {
	var places []place
	for i, w := range available {
		places = append(places, place{viewer: i, encoding: encodings[i], available: w * 1000, settled: true})
	}
	return places
}

func TestBestArrangement(t *testing.T) {
	for _, c := range []struct {
		name      string
		encodings []int
		available []int
		limit     int
		want      []int
	}{
		{"one viewer stays", []int{2}, []int{5000}, 3, []int{2}},
		{"equal paths share", []int{0, 1, 2}, []int{5000, 5200, 5400}, 3, []int{0, 0, 0}},
		{"the most stay where they are", []int{1, 1, 0}, []int{5000, 5000, 5000}, 3, []int{1, 1, 1}},
		{"a slow one parts", []int{0, 0}, []int{5000, 500}, 3, []int{0, 1}},
		{"of three the slow one parts", []int{1, 1, 1}, []int{500, 5000, 5000}, 3, []int{0, 1, 1}},
		{"three rates", []int{0, 0, 0, 0, 0}, []int{1000, 9000, 3000, 1000, 9000}, 3, []int{0, 1, 2, 0, 1}},
		{"of four rates the nearest share", []int{0, 0, 0, 0}, []int{1000, 9000, 3000, 2500}, 3, []int{1, 2, 0, 0}},
		{"the limit", []int{0, 0, 0}, []int{1000, 9000, 2500}, 2, []int{0, 1, 0}},
		{"one encoding", []int{0, 0, 0}, []int{1000, 9000, 3000}, 1, []int{0, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			places := rates(c.encodings, c.available...)
			got := best(places, c.limit).encodings
			// The numbers of encodings that nobody stays on do not matter.
			for i := range got {
				for j := range got {
					if (got[i] == got[j]) != (c.want[i] == c.want[j]) {
						t.Fatalf("got %v; want %v", got, c.want)
					}
				}
			}
			stay := func(to []int) (n int) {
				for i := range to {
					if to[i] == c.encodings[i] {
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
			places[i] = place{encoding: r.IntN(MaxEncodings), available: 100_000 << r.IntN(7) * (10 + r.IntN(5)) / 10}
		}
		limit := 1 + r.IntN(MaxEncodings)
		found := best(places, limit)
		if n := found.used(); n > limit {
			t.Fatalf("%d encodings for %+v; limit %d", n, places, limit)
		}
		for i := range places {
			places[i].encoding = found.encodings[i]
		}
		if at := current(places); at.cost > found.cost+1e-9 || at.cost < found.cost-1e-9 {
			t.Fatalf("cost %v of %+v; told %v", at.cost, places, found.cost)
		}
		if again := best(places, limit); !slices.Equal(again.encodings, found.encodings) {
			t.Fatalf("the best of the best is another: %v, then %v", found.encodings, again.encodings)
		}
	}
}

func TestArrangerWaits(t *testing.T) {
	a := newArranger()
	start := time.Now()
	apart, level := rates([]int{0, 0}, 5000, 500), rates([]int{0, 1}, 5000, 5000)
	if a.decide(start, apart, 3) != nil || a.decide(start.Add(urgentAfter-1), apart, 3) != nil {
		t.Error("parted at once")
	}
	if a.decide(start.Add(urgentAfter), apart, 3) == nil {
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
	const doubt = 10 * time.Second // about the slow viewer's new rate
	want := []time.Duration{
		5 * time.Second, doubt + 20*time.Second, doubt + time.Minute, doubt + time.Minute, doubt + time.Minute,
		doubt + time.Minute,
	}
	if !slices.Equal(waits, want) {
		t.Errorf("waited %v to meet again; want %v", waits, want)
	}
	if a.decide(now, rates([]int{0, 1, 2}, 500, 5000, 50_000), 1) == nil {
		t.Error("more encodings than permitted are used for a while")
	}
}

// A viewer that could not have its rate is remembered while its limit lasts, and forgotten some time after it left.
func TestClaimsOfGoneViewersAreForgotten(t *testing.T) {
	a, now, on := newArranger(), time.Now(), []int{0, 0}
	play := func(available ...int) {
		for range 2 {
			if to := a.decide(now, rates(on, available...), 3); to != nil {
				on = to
			}
			now = now.Add(changeMost + time.Second)
		}
	}
	play(5000, 5000)
	play(5000, 500)  // they part
	play(5000, 5000) // they meet
	play(5000, 500)
	if c := a.claims[1]; c.time != failTime || c.limit >= 5_000_000 || c.limit <= 500_000 {
		t.Errorf("the slow viewer's claim is %+v; want a limit between its rates", c)
	}
	now = now.Add(2 * failMost)
	a.decide(now, nil, 3)
	if len(a.claims) != 0 {
		t.Errorf("%+v are left of viewers that are gone", a.claims)
	}
}

// leasts returns the rate of each encoding: the least that its viewers could have.
func leasts(places []place) (least [MaxEncodings]int) {
	for _, p := range places {
		if least[p.encoding] == 0 || p.available < least[p.encoding] {
			least[p.encoding] = p.available
		}
	}
	return least
}

// TestUnsteadyRatesMoveFewViewers plays rates that rise and fall, as controllers' rates do. With the best arrangement
// at each moment, each viewer would move more than 15 times a minute.
func TestUnsteadyRatesMoveFewViewers(t *testing.T) {
	const (
		tick = 100 * time.Millisecond
		span = 10 * time.Minute
	)
	for _, links := range [][]float64{ // in kbit/s
		{3000, 3000, 3000, 3000, 800, 800, 800, 300, 300, 300},
		{1000, 1000, 1000, 1000, 1000, 1000},
		{3000, 3000, 2000, 2000, 1500, 1500, 1000, 1000, 600, 600},
		{3000, 1500, 750, 375, 190},
	} {
		for _, depth := range []float64{0.1, 0.2, 0.3, 0.5} {
			// play returns how often a viewer moves in a minute, and how much of its rate it does not get (log2).
			play := func(decide func(now time.Time, places []place) []int) (moves, unused float64) {
				r := rand.New(rand.NewPCG(1, 2))
				level, places := make([]float64, len(links)), make([]place, len(links))
				for i := range places {
					level[i] = 1 - depth*r.Float64()
					places[i] = place{viewer: i, settled: true}
				}
				for now := time.Duration(0); now < span; now += tick {
					for i := range places {
						if level[i] += 0.1 * tick.Seconds(); level[i] > 1 {
							level[i] = 1 - depth*r.Float64()
						}
						places[i].available = int(links[i] * 1000 * level[i])
					}
					least := leasts(places)
					for _, p := range places {
						unused += math.Log2(float64(p.available) / float64(least[p.encoding]))
					}
					for i, to := range decide(time.Unix(0, 0).Add(now), places) {
						if places[i].encoding != to {
							moves++
							places[i].encoding = to
						}
					}
				}
				viewers := float64(len(links))
				return moves / viewers / span.Minutes(), unused / viewers / (float64(span) / float64(tick))
			}
			a := newArranger()
			moves, unused := play(func(now time.Time, p []place) []int { return a.decide(now, p, MaxEncodings) })
			often, least := play(func(_ time.Time, p []place) []int { return best(p, MaxEncodings).encodings })
			if moves > 4 || unused > least+0.1 {
				t.Errorf("links of %v, down by up to %.1f: each viewer moves %.2f times a minute and leaves %.2f unused; "+
					"%.2f and %.2f when changed at once", links, depth, moves, unused, often, least)
			}
		}
	}
}

// TestFalseClaimsDoNotHoldOthersBack plays controllers that take their links for fast while an encoding gives them
// little.
func TestFalseClaimsDoNotHoldOthersBack(t *testing.T) {
	const fast, ticks = 3_000_000, 6000 // bit/s; 100 ms each
	links := []float64{fast, fast, fast, fast, 800_000, 800_000, 800_000, 300_000, 300_000, 300_000}
	r := rand.New(rand.NewPCG(1, 2))
	places := make([]place, len(links))
	for i, link := range links {
		places[i] = place{viewer: i, available: int(link), settled: true}
	}
	a := newArranger()
	sum := make([]float64, len(links))
	for tick := range ticks {
		rates := leasts(places)
		for i := range places {
			p, link := &places[i], links[i]
			target, rate := float64(p.available), float64(rates[p.encoding])
			sum[i] += min(rate, link)
			switch {
			case rate > 1.1*link:
				target = max(0.4*link, 0.7*target)
			case rate < 0.8*link && r.IntN(25) == 0: // a probe
				target = fast
			case rate < 0.8*link:
			case target <= 0.95*link:
				target *= 1.01
			default:
				target = link * (0.75 + 0.25*r.Float64())
			}
			p.available = int(target)
		}
		for i, to := range a.decide(time.Unix(0, 0).Add(time.Duration(tick)*100*time.Millisecond), places, 3) {
			places[i].encoding = to
		}
	}
	for i, link := range links {
		if mean := sum[i] / ticks; mean < 0.7*link {
			t.Errorf("viewer %d gets %.0f bit/s in the mean over a link of %.0f", i, mean, link)
		}
	}
}

// TestTenViewersOnThreePathsUseThreeEncodes checks which viewer gets which encoding, and its rate.
func TestTenViewersOnThreePathsUseThreeEncodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enc := encodetest.New(encodetest.Config{})
		th := openRig(t, 60, enc)
		available := []int{
			8_000_000, 8_000_000, 1_000_000, 3_000_000, 8_000_000, 3_000_000, 1_000_000, 8_000_000,
			1_000_000, 3_000_000,
		}
		var all []*fakeViewer
		for range available {
			v := newFakeViewer()
			v.subscribe(th.encodings.list[0])
			all = append(all, v)
		}
		th.live(time.Second)
		if n := th.encodings.active(); n != 1 {
			t.Errorf("%d encodes for ten equal viewers; want 1", n)
		}
		for i, v := range all {
			v.set(func(a *Demand) { a.BitsPerSecond = available[i] })
		}
		th.live(2 * time.Second)
		if n := th.encodings.active(); n != 3 {
			t.Errorf("%d encodes; want 3", n)
		}
		for i, v := range all {
			if got := v.encoding().Status().BitsPerSecond; got != available[i] {
				t.Errorf("viewer %d of %d bit/s is on an encoding of %d", i, available[i], got)
			}
			if v.moves > 1 {
				t.Errorf("viewer %d moved %d times", i, v.moves)
			}
			v.decodable(t)
		}
		if th.screen.Opened() != 1 {
			t.Errorf("%d captures; want 1", th.screen.Opened())
		}
		for i, v := range all {
			if available[i] < 8_000_000 {
				v.encoding().Unsubscribe(v)
			}
		}
		th.live(emptyLinger + time.Second)
		if s := enc.Stats(); s.Opened-s.Closed != 1 || th.encodings.active() != 1 {
			t.Errorf("%d encoders are open, %d encode; want 1 and 1", s.Opened-s.Closed, th.encodings.active())
		}
		th.close(t)
	})
}

func BenchmarkArrange(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	places := make([]place, 100)
	for i := range places {
		places[i] = place{encoding: r.IntN(MaxEncodings), available: 100_000 + r.IntN(10_000_000), settled: true}
	}
	a := newArranger()
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		a.decide(now, places, MaxEncodings)
	}
}

// TestHardwareWithRoomForOneEncode gives the second encode to the next encoder, and continues to use the first.
func TestHardwareWithRoomForOneEncode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "one", Hardware: true}, Limit: 1})
		th := openRig(t, 60, one, encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "next"}}))
		a, b := newFakeViewer(), newFakeViewer()
		b.demand.BitsPerSecond = 200_000
		a.subscribe(th.encodings.list[0])
		b.subscribe(th.encodings.list[1])
		move(th.screen, time.Second)
		if first, second := th.encodings.list[0].Status().Encoder, th.encodings.list[1].Status().Encoder; first == second {
			t.Errorf("both encodes are by %q", first)
		}
		encoders := th.encodings.list[0].encoders
		if got := encoders.status(time.Now(), encode.H264)[0]; got.Profile.Name != "one" || got.Limit != 1 ||
			!got.Learnt {
			t.Errorf("%+v is what is known; want one, and that there is room for one", got)
		}
		if got := encoders.order(time.Now(), encode.H264)[0].Profile().Name; got != "next" {
			t.Errorf("the third encode would be by %q; want next", got)
		}
		all := th.all()
		if f := all[len(all)-1].fallback; f.Reason != FallbackFull || f.From != "one" || f.To != "next" {
			t.Errorf("the last event is %+v", all[len(all)-1])
		}
		a.encoding().Unsubscribe(a)
		b.encoding().Unsubscribe(b)
		time.Sleep(2 * emptyLinger)
		if got := encoders.status(time.Now(), encode.H264)[0]; got.Uses != 0 {
			t.Errorf("%d encoders count as open though no encoding has a subscriber", got.Uses)
		}
		if got := encoders.order(time.Now(), encode.H264)[0].Profile().Name; got != "one" {
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

// TestHardwareThatHangsIsNotFull tells a driver that hangs from one without room.
func TestHardwareThatHangsIsNotFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		card := stallingFactory{
			encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "card", Hardware: true}}),
			new(atomic.Int64), make(chan struct{}),
		}
		th := openRig(t, 60, card, encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "next"}}))
		a, b := newFakeViewer(), newFakeViewer()
		a.subscribe(th.encodings.list[0])
		move(th.screen, time.Second)
		b.demand.BitsPerSecond = 200_000
		b.subscribe(th.encodings.list[1])
		move(th.screen, openTimeout+time.Second)
		if first, second := th.encodings.list[0].Status().Encoder,
			th.encodings.list[1].Status().Encoder; first != "card" || second != "next" {
			t.Errorf("the encodes are by %q and %q; want card and next", first, second)
		}
		encoders := th.encodings.list[0].encoders
		for _, s := range encoders.status(time.Now(), encode.H264) {
			if s.Learnt {
				t.Errorf("%+v: a limit was learnt of a call that hangs", s)
			}
		}
		if got := encoders.order(time.Now(), encode.H264)[0].Profile().Name; got != "next" {
			t.Errorf("the next encode would be by %q; want the one that answers", got)
		}
		all := th.all()
		if f := all[len(all)-1].fallback; f.Reason != FallbackHang || f.From != "card" {
			t.Errorf("the last event is %+v", all[len(all)-1])
		}
		close(card.release)
		th.close(t)
	})
}

func TestPickAlwaysFindsAnEncoding(t *testing.T) {
	st := newTestPipeline()
	for _, occupied := range []int{0, 1, MaxEncodings} {
		for i, r := range st.encodings.of(encode.H264) {
			r.forCapture.occupied.Store(i < occupied)
			r.forCapture.active.Store(i < occupied)
			r.status.BitsPerSecond = 1000 << (5 * i)
		}
		for _, start := range []int{-1, 0, 1, 1_000_000, 1 << 62} {
			if st.Pick(encode.H264, start) == nil {
				t.Errorf("%d encodings in use, a start at %d: no encoding", occupied, start)
			}
		}
	}
}
