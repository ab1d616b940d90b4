package session

import (
	"image"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"wavryhost/session/pipeline"
)

// fakeEncoding is an encoding. Its mutex is held while a subscriber comes or goes.
type fakeEncoding struct {
	mu          sync.Mutex
	index, rate int
	stuck       bool
	subscribers []pipeline.Subscriber
}

func (e *fakeEncoding) Subscribe(s pipeline.Subscriber) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.subscribers = append(e.subscribers, s)
}

func (e *fakeEncoding) Unsubscribe(s pipeline.Subscriber) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.subscribers = slices.DeleteFunc(e.subscribers, func(o pipeline.Subscriber) bool { return o == s })
}

func (e *fakeEncoding) Nudge() {}

func (e *fakeEncoding) Status() pipeline.EncodingStatus {
	return pipeline.EncodingStatus{Encoder: "fake", BitsPerSecond: e.rate, Stuck: e.stuck}
}

func (e *fakeEncoding) Rate() int    { return e.rate }
func (e *fakeEncoding) Index() int   { return e.index }
func (e *fakeEncoding) Name() string { return strconv.Itoa(e.index) }

// fakeSource is a display in a state.
type fakeSource struct{ state pipeline.State }

func (s *fakeSource) Status() pipeline.Status {
	return pipeline.Status{State: s.state, Width: 640, Height: 480}
}

func (s *fakeSource) Size() image.Point { return image.Pt(640, 480) }

// An event of a controller names the display with the controller's lock held, while the encode loop delivers a picture
// with the subscription's lock held and waits for the controller's.
func TestWhatIsShownIsKnownWithoutALock(t *testing.T) {
	v := &viewer{}
	v.begin(&feed{display: Display{ID: "d"}})
	v.sub.mu.Lock()
	defer v.sub.mu.Unlock()
	if !v.sub.mu.TryLock() && v.sub.display() != "d" { // it hangs if showing takes the lock
		t.Error("another display")
	}
}

// A session that ends finds every encoding that it is on: leave sees a move from the moment on in which the encoding
// knows of it, never before. Otherwise the encoding would keep a viewer that left, and encode for it.
func TestMoveIsOneStep(t *testing.T) {
	here, there := &fakeEncoding{index: 1}, &fakeEncoding{index: 2}
	s := &fakeSource{state: pipeline.Live}
	v := &viewer{}
	v.begin(&feed{source: s, on: here})
	v.sub.join()
	there.mu.Lock() // so that the move stops in its middle
	var moved sync.WaitGroup
	moved.Go(func() { v.sub.moveTo(&feed{source: s, on: there}) })
	eventually(t, "the move begins", func() bool { return v.sub.heading.Load() != nil })
	for range 10_000 {
		if v.sub.mu.TryLock() {
			v.sub.mu.Unlock()
			t.Error("the session can leave in the middle of a move")
			break
		}
		runtime.Gosched()
	}
	there.mu.Unlock()
	moved.Wait()
	v.sub.leave()
	for _, e := range []*fakeEncoding{here, there} {
		if len(e.subscribers) > 0 {
			t.Errorf("a session that left is on encoding %d", e.index)
		}
	}
}

// A display is released once, whatever becomes of a move: it arrives, it is given up, or the session ends in it.
func TestEveryFeedIsReleasedOnce(t *testing.T) {
	for name, end := range map[string]func(v *viewer, next *feed){
		"it arrives": func(v *viewer, next *feed) {
			v.sub.mu.Lock()
			v.sub.arrive(next)
			v.sub.mu.Unlock()
		},
		"it is given up": func(v *viewer, _ *feed) { v.sub.giveUp(time.Now().Add(moveTimeout)) },
		"the end":        func(*viewer, *feed) {},
	} {
		for other, ends := range map[string]int{"to another display": 2, "on the same display": 1} {
			t.Run(name+" "+other, func(t *testing.T) {
				released := make([]int, 2)
				rig := newEventLog()
				v := &viewer{
					id: "a", log: rig.log, figures: figures{met: rig.met}, owner: owner{emit: rig.emit},
					pointer: newPointerChannel(),
				}
				s := &fakeSource{state: pipeline.Live}
				v.begin(&feed{source: s, on: &fakeEncoding{index: 1}, release: func() { released[0]++ }})
				v.sub.join()
				next := &feed{source: s, on: &fakeEncoding{index: 2}}
				if ends == 2 {
					next.source, next.release = &fakeSource{state: pipeline.Live}, func() { released[1]++ }
				}
				if !v.sub.moveTo(next) || v.sub.moveTo(&feed{source: s, on: &fakeEncoding{index: 3}}) {
					t.Error("want one move at a time")
				}
				end(v, next)
				v.sub.leave()
				v.sub.vacate()
				v.sub.vacate()
				if released[0] != 1 || released[1] != ends-1 {
					t.Errorf("released %d times; want once each of %d", released, ends)
				}
			})
		}
	}
}
