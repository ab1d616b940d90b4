package wire

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/pacing"
	"wavryhost/encode"
	"wavryhost/session/progress"
)

// run starts the sender's pacer for the rest of the test.
func (r *rig) run(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.sender.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// drain waits until nothing is queued.
func (r *rig) drain() {
	for r.sender.Queue().Packets > 0 {
		time.Sleep(time.Millisecond)
	}
	synctest.Wait()
}

// send writes a picture, and returns the packets that are sent until the queue is empty.
func (r *rig) send(t testing.TB, unit encode.AccessUnit) []onWire {
	t.Helper()
	before := len(r.packets())
	if _, err := r.sender.track.WriteAccessUnit(unit); err != nil {
		t.Fatal(err)
	}
	r.drain()
	return r.packets()[before:]
}

func (r *rig) write(t testing.TB, bytes int, key bool) Written {
	t.Helper()
	w, err := r.sender.track.WriteAccessUnit(unit(bytes, key, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// log keeps the packets that OnSent got.
type log struct {
	mu   sync.Mutex
	list []adapt.Packet
}

func (l *log) add(p adapt.Packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, p)
}

func (l *log) all() []adapt.Packet {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

func TestPacerHoldsItsRate(t *testing.T) {
	for _, rate := range []int{24_000, 300_000, 4_000_000, 50_000_000} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{StartRate: rate}, true)
			r.run(t)
			time.Sleep(time.Second) // what is saved up meanwhile is one burst
			began := time.Now()
			for range 4 {
				r.write(t, rate/8, true)
				r.drain()
			}
			all := r.packets()
			bytes := 0
			for _, p := range all[:len(all)-1] { // the last one's time is not over when it leaves
				bytes += p.size
			}
			last := all[len(all)-1]
			want := time.Duration(float64(bytes*8) / float64(rate) * float64(time.Second))
			took := last.at.Sub(began)
			if slack := want/50 + pacing.Burst; took < want-slack || took > want+slack {
				t.Errorf("%d bytes at %d bit/s took %v; want %v", bytes, rate, took, want)
			}
			// In no window more is sent than the rate, a burst and a packet.
			for i := range all {
				sum := 0
				for j := i; j < min(i+400, len(all)); j++ {
					sum += all[j].size
					window := all[j].at.Sub(all[i].at) + pacing.Burst
					if most := float64(rate)/8*window.Seconds() + 2*defaultMTU; float64(sum) > most {
						t.Fatalf("%d bytes leave within %v at %d bit/s; want at most %.0f",
							sum, all[j].at.Sub(all[i].at), rate, most)
					}
				}
			}
		})
	}
}

func TestPacerStartsAtOnceAndFollowsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 100_000}, true)
		r.run(t)
		r.write(t, 100_000, true)
		synctest.Wait()
		if len(r.packets()) == 0 {
			t.Error("nothing leaves at once")
		}
		r.sender.SetRate(1_000_000_000)
		began := time.Now()
		r.drain()
		if took := time.Since(began); took > 10*time.Millisecond {
			t.Errorf("after SetRate the rest took %v; want under 10ms", took)
		}
	})
}

func TestDroppedFrameLeavesNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 1_000_000}, true)
		r.run(t)
		r.write(t, 20_000, true)
		synctest.Wait()
		r.write(t, 20_000, false)
		r.write(t, 9_000, true) // takes the place of the one before
		r.drain()
		frames := map[uint32]int{}
		all := r.packets()
		for i, p := range all {
			frames[p.header.Timestamp]++
			if i > 0 && p.header.SequenceNumber != all[i-1].header.SequenceNumber+1 {
				t.Fatalf("packet %d follows %d", p.header.SequenceNumber, all[i-1].header.SequenceNumber)
			}
		}
		markers := 0
		for _, p := range all {
			if p.header.Marker {
				markers++
			}
		}
		if s := r.sender.Stats(); s.Superseded != 1 || markers != 2 {
			t.Errorf("%d frames left, counts are %+v; want 2 frames, and 1 superseded", markers, s)
		}
	})
}

func TestNothingIsTakenAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 100_000}, true)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.sender.Run(ctx) }()
		r.write(t, 50_000, true)
		synctest.Wait()
		first := r.packets()[0].header.SequenceNumber
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
		if q := r.sender.Queue(); q.Packets != 0 || q.Bytes != 0 {
			t.Errorf("%+v is queued after the end", q)
		}
		if _, err := r.sender.track.WriteAccessUnit(unit(100, true, time.Now())); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("an access unit after the end: %v; want io.ErrClosedPipe", err)
		}
		r.nack(t, first)
		synctest.Wait()
		if s := r.sender.Stats(); s.Refused[pacing.RefusedFull] != 1 || s.Retransmissions != 0 {
			t.Errorf("counts after a NACK are %+v; want the retransmission dropped", s)
		}
	})
}

func TestPacketsTheTransportDoesNotTakeWereNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told log
		r := newRig(t, Config{StartRate: 1_000_000, OnSent: told.add}, true)
		r.deaf = true
		r.run(t)
		w := r.write(t, 20_000, true)
		r.drain()
		r.sender.SendPadding(adapt.PadRequest{
			ProbeID: 1, Bytes: 5000, BitsPerSecond: 1_000_000,
			Until: time.Now().Add(time.Second),
		})
		synctest.Wait()
		if s := r.sender.Stats(); s.Packets != 0 || int(s.Unsent) != w.Packets+1 || len(told.all()) != 0 {
			t.Errorf("counts are %+v and OnSent was told %+v; want %d packets and one of padding unsent",
				s, told.all(), w.Packets)
		}
		r.mu.Lock()
		r.deaf = false
		r.mu.Unlock()
		r.write(t, 500, true)
		r.drain()
		if p := told.all(); len(p) != 1 || p[0].ID != 1 || p[0].Size != r.packets()[0].size {
			t.Errorf("OnSent was told %+v; want the first packet that left", p)
		}
	})
}

func TestProbe(t *testing.T) {
	for name, repair := range map[string]bool{"on the retransmission stream": true, "on the media's stream": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told log
				r := newRig(t, Config{StartRate: 500_000, OnSent: told.add}, repair)
				r.run(t)
				ask := func(id int) {
					r.sender.SendPadding(adapt.PadRequest{
						ProbeID: id, Bytes: 20_000, BitsPerSecond: 4_000_000,
						Until: time.Now().Add(time.Second),
					})
				}
				ask(1)
				synctest.Wait()
				if len(r.packets()) != 0 {
					t.Fatal("padding goes out before any media")
				}
				r.sender.SendPadding(adapt.PadRequest{})
				r.write(t, 500, true)
				r.drain()
				time.Sleep(time.Second)
				before := len(told.all())
				ask(7)
				time.Sleep(10 * time.Millisecond)
				r.write(t, 3000, false) // in the middle of it
				time.Sleep(time.Second)

				probe, bytes, media := told.all()[before:], 0, 0
				for i, p := range probe {
					if p.ProbeID != 7 {
						t.Fatalf("packet %d is %+v; want it counted to probe 7", i, p)
					}
					bytes += p.Size
					if !p.Padding {
						media++
					}
				}
				if bytes < 20_000 || bytes > 20_000+defaultMTU || media == 0 {
					t.Errorf("the probe has %d bytes and %d packets of media; want 20000 bytes and the frame among them", bytes, media)
				}
				took := probe[len(probe)-1].Sent.Sub(probe[0].Sent)
				if took < 36*time.Millisecond || took > 42*time.Millisecond {
					t.Errorf("20000 bytes at 4 Mbit/s took %v; want about 40ms", took)
				}
				last := map[uint32]uint16{}
				for _, p := range r.packets() {
					if n, ok := last[p.header.SSRC]; ok && p.header.SequenceNumber != n+1 {
						t.Fatalf("packet %d follows %d", p.header.SequenceNumber, n)
					}
					last[p.header.SSRC] = p.header.SequenceNumber
				}
				if _, ok := last[repairSSRC]; ok != repair {
					t.Errorf("padding on the retransmission stream: %t; want %t", ok, repair)
				}
			})
		})
	}
}

// Padding does not interrupt a frame: receivers assemble a frame from consecutive numbers.
func TestPaddingKeepsOutOfFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{StartRate: 1_000_000}, false)
		r.run(t)
		r.write(t, 500, true)
		r.drain()
		r.write(t, 20_000, false)
		synctest.Wait()
		r.sender.SendPadding(adapt.PadRequest{
			ProbeID: 1, Bytes: 40_000, BitsPerSecond: 2_000_000,
			Until: time.Now().Add(time.Second),
		})
		r.drain()
		time.Sleep(time.Second)
		seen := false
		for _, p := range r.packets() {
			switch {
			case p.header.Padding:
				seen = true
			case seen:
				t.Fatal("media of the frame follows padding")
			}
		}
		if !seen {
			t.Error("no padding left")
		}
	})
}

// A send loop that hangs in a packet is seen. Waiting for packets or for its rate is no fault.
func TestHungSendLoopIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		board, held := progress.New(), make(chan struct{})
		hangs := atomic.Bool{}
		r := newRig(t, Config{StartRate: 10_000, Progress: board, OnSent: func(adapt.Packet) {
			if hangs.Load() {
				<-held
			}
		}}, true)
		r.run(t)
		r.write(t, 50_000, true) // 40 s at that rate
		for range 60 {
			time.Sleep(time.Second)
			synctest.Wait()
			if got := board.Longest(time.Now()); len(got) != 0 {
				t.Fatalf("without a fault: %v", got)
			}
		}
		hangs.Store(true)
		r.write(t, 1000, true)
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if got := board.Longest(time.Now())[progress.Send]; got < progress.Limit {
			t.Errorf("the longest step is %v; want over %v", got, progress.Limit)
		}
		hangs.Store(false)
		close(held)
		synctest.Wait()
		if got := board.Longest(time.Now()); len(got) != 0 {
			t.Errorf("after the fault: %v", got)
		}
	})
}

// The time in the pacer is that of each access unit, until its last packet has left.
func TestTimeInThePacerIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var took []time.Duration
		r := newRig(t, Config{StartRate: 1_000_000, OnPaced: func(_ time.Time, d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			took = append(took, d)
		}}, true)
		r.run(t)
		for range 2 {
			r.write(t, 12_500, false) // a tenth of a second
			time.Sleep(time.Second)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(took) != 2 || took[0] < 50*time.Millisecond || took[0] > 150*time.Millisecond {
			t.Errorf("two access units took %v; want about 100 ms each", took)
		}
	})
}
