package capturetest

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/capture"
)

// screen is a display for tests, whose sources break a promise if bug is set.
type screen struct {
	traits capture.Traits
	polls  bool
	bug    string
	copier *capture.Copier

	mu      sync.Mutex
	n       byte
	pix     []byte
	sources []*source
}

const width, height = 64, 48

func newScreen(kind capture.Kind, bug string) *screen {
	s := &screen{bug: bug, pix: make([]byte, 4*width*height)}
	s.traits = capture.Traits{Kind: kind, Slots: 3, Damage: true}
	s.copier = &capture.Copier{Copy: func(f capture.Surface, dst []byte, _ int) error {
		copy(dst, f.(*surface).pix)
		if bug == "copies noise" {
			dst[0] = byte(rand.Uint32())
		}
		return nil
	}}
	return s
}

// change changes a part of the picture.
func (s *screen) change() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	r := image.Rect(0, 0, 8, 5).Add(image.Pt(int(s.n)%50, int(s.n)%40))
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for i := 4 * (y*width + r.Min.X); i < 4*(y*width+r.Max.X); i++ {
			s.pix[i] += s.n | 1
		}
	}
	for _, src := range s.sources {
		src.damage = capture.MergeDamage(src.damage, []image.Rectangle{r})
		src.wake()
	}
}

func (s *screen) options() Options { return Options{Change: s.change, Copies: s.copier.Copies} }

// open implements capture.Opener.
func (s *screen) open(_ context.Context, d capture.Demand) (capture.Source, error) {
	traits := s.traits
	if s.bug != "draws the cursor" {
		traits.Cursor = d.Cursor
	}
	traits.Damage = !s.polls
	if len(d.Kinds) > 0 && !slices.Contains(d.Kinds, traits.Kind) && s.bug != "ignores kinds" {
		err := fmt.Errorf("%w: %v", capture.ErrDemand, d.Kinds)
		if s.bug == "two reasons" {
			err = errors.Join(err, capture.ErrUnsupported)
		}
		return nil, err
	}
	src := &source{
		screen: s, traits: traits, opened: time.Now(), refresh: true,
		wakes: make(chan struct{}, 1), end: make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources = append(s.sources, src)
	return src, nil
}

// surface is a picture in the memory of no device.
type surface struct {
	capture.DMABuf
	pix []byte
}

type source struct {
	screen *screen
	traits capture.Traits
	opened time.Time
	wakes  chan struct{}
	end    chan struct{}

	// screen.mu guards the following fields.
	damage          []image.Rectangle
	refresh, closed bool
	out             [][]byte
	seq             uint64
}

func (s *source) is(bug string) bool { return s.screen.bug == bug }

func (s *source) wake() {
	select {
	case s.wakes <- struct{}{}:
	default:
	}
}

func (s *source) Next(ctx context.Context) (*capture.Frame, error) {
	for {
		time.Sleep(time.Millisecond) // so that times rise
		f, err := s.take(ctx)
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-s.wakes:
		case <-s.end:
			if s.is("stays in Next after Close") {
				<-time.After(2 * patience)
			}
		case <-ctx.Done():
		}
	}
}

// take returns a frame if one is due and a slot is free.
func (s *source) take(ctx context.Context) (*capture.Frame, error) {
	s.screen.mu.Lock()
	defer s.screen.mu.Unlock()
	slots := s.traits.Slots
	switch s.screen.bug {
	case "has a slot more":
		slots++
	case "has a slot less":
		slots--
	}
	due := s.refresh || len(s.damage) > 0 || s.screen.polls || s.is("returns without a change")
	switch {
	case s.closed && s.is("calls its end a loss"):
		return nil, capture.ErrLost
	case s.closed && s.is("goes on after Close") && ctx.Err() == nil:
	case s.closed:
		return nil, capture.ErrClosed
	case ctx.Err() != nil && s.is("calls a cancel its end"):
		return nil, capture.ErrClosed
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case !due || len(s.out) >= slots:
		return nil, nil //nolint:nilnil // there is none yet
	}
	return s.frame(), nil
}

// frame returns the display's picture. The caller holds the screen's mu.
func (s *source) frame() *capture.Frame {
	s.seq++
	pix := slices.Clone(s.screen.pix)
	if s.is("shows an old picture") {
		clear(pix)
	}
	f := s.hold(pix)
	f.Width, f.Height = width, height
	f.Damage, f.Exact = slices.Clone(s.damage), s.traits.Damage
	if s.refresh || !s.traits.Damage {
		f.Damage = []image.Rectangle{f.Bounds()}
	}
	f.Time, f.Seq = time.Now(), s.seq
	s.bend(f)
	s.damage, s.refresh = nil, false
	return f
}

// hold returns a frame with these pixels, which takes a slot.
func (s *source) hold(pix []byte) *capture.Frame {
	s.out = append(s.out, pix)
	release := func(*capture.Frame) {
		s.screen.mu.Lock()
		defer s.screen.mu.Unlock()
		s.out = slices.DeleteFunc(s.out, func(one []byte) bool { return &one[0] == &pix[0] })
		s.wake()
	}
	if s.traits.Kind == capture.Memory {
		f := capture.NewFrame(release)
		f.Pix, f.Stride = pix, 4*width
		return f
	}
	return capture.NewSurfaceFrame(&surface{pix: pix}, s.screen.copier, release)
}

// bend breaks what the bug breaks in a frame.
func (s *source) bend(f *capture.Frame) {
	part := []image.Rectangle{image.Rect(0, 0, 3, 3)}
	switch s.screen.bug {
	case "starts with a part":
		f.Damage = part
	case "damages another place":
		if !s.refresh {
			f.Damage = part
		}
	case "damages nothing":
		if !s.refresh {
			f.Damage = nil
		}
	case "damages beyond the picture":
		f.Damage = []image.Rectangle{image.Rect(0, 0, width+1, height)}
	case "is exact without damage":
		f.Exact = !f.Exact
	case "has its pixels twice":
		f.Pix, f.Surface = make([]byte, 4*width*height), &surface{}
	case "copies at once":
		_, _, _ = f.Map()
	case "counts from 2":
		f.Seq++
	case "skips numbers":
		f.Seq *= f.Seq
	case "has one time":
		f.Time = s.opened
	case "has a time to come":
		f.Time = f.Time.Add(time.Hour)
	case "writes into held frames":
		for _, pix := range s.out {
			pix[0] = byte(s.seq)
		}
	case "has a short row":
		f.Stride--
	}
}

func (s *source) Refresh() {
	if s.is("is not refreshed") {
		return
	}
	s.screen.mu.Lock()
	defer s.screen.mu.Unlock()
	s.refresh = true
	if s.is("refreshes a part") {
		s.damage, s.refresh = []image.Rectangle{image.Rect(0, 0, 9, 9)}, false
	}
	s.wake()
}

func (s *source) Traits() capture.Traits {
	traits := s.traits
	switch s.screen.bug {
	case "has two slots":
		traits.Slots = 2
	case "changes its traits":
		s.screen.mu.Lock()
		defer s.screen.mu.Unlock()
		traits.Volatile = s.seq > 3
	}
	return traits
}

func (s *source) Alive() time.Time {
	if s.is("is never heard") {
		return s.opened
	}
	return time.Now()
}

func (s *source) Close() error {
	s.screen.mu.Lock()
	defer s.screen.mu.Unlock()
	if s.closed {
		if s.is("fails the second Close") {
			return errors.New("closed twice")
		}
		return nil
	}
	s.closed = true
	if s.is("wipes frames at Close") {
		for _, pix := range s.out {
			pix[0]++
		}
	}
	close(s.end)
	return nil
}

func TestSoundSourcesPassTheSuite(t *testing.T) {
	for name, kind := range map[string]capture.Kind{
		"memory": capture.Memory, "surfaces": capture.DMA, "polled": capture.Memory,
	} {
		for _, c := range checks {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScreen(kind, "")
					s.polls = name == "polled"
					err := c.try(s.open, s.options())
					if s.polls && errors.Is(err, errSkipped) {
						return
					}
					if err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// Each check finds the sources that break its promise.
func TestBrokenPromisesAreFound(t *testing.T) {
	found := make(map[string]bool)
	for bug, b := range map[string]struct {
		check string
		kind  capture.Kind
	}{
		"starts with a part":         {"the first frame is whole and comes at once", 0},
		"counts from 2":              {"the first frame is whole and comes at once", 0},
		"damages beyond the picture": {"the first frame is whole and comes at once", 0},
		"has a time to come":         {"the first frame is whole and comes at once", 0},
		"has a short row":            {"the first frame is whole and comes at once", 0},
		"has two slots":              {"frames are as the traits say", 0},
		"changes its traits":         {"frames are as the traits say", 0},
		"is exact without damage":    {"frames are as the traits say", 0},
		"has its pixels twice":       {"frames are as the traits say", capture.DMA},
		"ignores kinds":              {"demands are met or refused", 0},
		"two reasons":                {"demands are met or refused", 0},
		"draws the cursor":           {"demands are met or refused", 0},
		"is not refreshed":           {"Refresh brings a whole frame", 0},
		"refreshes a part":           {"Refresh brings a whole frame", 0},
		"damages another place":      {"a change brings a frame whose damage covers it", 0},
		"damages nothing":            {"a change brings a frame whose damage covers it", 0},
		"shows an old picture":       {"a change brings a frame whose damage covers it", 0},
		"returns without a change":   {"Next blocks while nothing changes", 0},
		"has a slot more":            {"all slots can be held and one more frame waits", 0},
		"has a slot less":            {"all slots can be held and one more frame waits", 0},
		"writes into held frames":    {"a held frame keeps its pixels", 0},
		"copies at once":             {"Map copies a surface once", capture.DMA},
		"copies noise":               {"Map copies a surface once", capture.DMA},
		"skips numbers":              {"numbers and times rise", 0},
		"has one time":               {"numbers and times rise", 0},
		"calls a cancel its end":     {"Next returns the error of its context", 0},
		"is never heard":             {"a display that answers is alive", 0},
		"calls its end a loss":       {"Close unblocks Next", 0},
		"stays in Next after Close":  {"Close unblocks Next", 0},
		"wipes frames at Close":      {"frames outlive Close", 0},
		"goes on after Close":        {"a closed source stays closed", 0},
		"fails the second Close":     {"a closed source stays closed", 0},
	} {
		t.Run(bug, func(t *testing.T) {
			i := slices.IndexFunc(checks, func(c check) bool { return c.name == b.check })
			found[b.check] = true
			synctest.Test(t, func(t *testing.T) {
				s := newScreen(b.kind, bug)
				if err := checks[i].try(s.open, s.options()); err == nil || errors.Is(err, errSkipped) {
					t.Errorf("%q passes a source that %s: %v", b.check, bug, err)
				} else {
					t.Log(err)
				}
				time.Sleep(3 * patience) // until what was left in Next has returned
			})
		})
	}
	for _, c := range checks {
		if !found[c.name] {
			t.Errorf("%q is not tested with a source that breaks it", c.name)
		}
	}
}
