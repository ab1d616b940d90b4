package selfprobe

import (
	"context"
	"sync"

	"wavryhost/capture"
)

// kept is the number of captured pictures that a Tap keeps during a probe. At 60 frames per second a picture is seen
// again within a second.
const kept = 64

// Tap looks at the frames of one display during a probe. Otherwise it costs nothing.
type Tap struct {
	mu      sync.Mutex // guards all following fields
	display string     // empty while no probe runs
	grids   []*Grid    // the newest last
	sources map[*tapped]struct{}
}

// Opener returns an opener whose sources the tap can look into.
func (t *Tap) Opener(display string, open capture.Opener) capture.Opener {
	return func(ctx context.Context, d capture.Demand) (capture.Source, error) {
		source, err := open(ctx, d)
		if err != nil {
			return nil, err
		}
		s := &tapped{Source: source, tap: t, display: display}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.sources == nil {
			t.sources = make(map[*tapped]struct{})
		}
		t.sources[s] = struct{}{}
		return s, nil
	}
}

// Begin begins to look at a display. An open source of it delivers its picture again, also if the screen is still.
func (t *Tap) Begin(display string) {
	t.mu.Lock()
	t.display, t.grids = display, nil
	var open []*tapped
	for s := range t.sources {
		if s.display == display {
			open = append(open, s)
		}
	}
	t.mu.Unlock()
	for _, s := range open {
		s.Refresh()
	}
}

// End stops looking.
func (t *Tap) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.display, t.grids = "", nil
}

// Best returns the similarity of the captured picture that is the most similar to g; ok is false if there is none.
func (t *Tap) Best(g *Grid) (best float64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, one := range t.grids {
		if s := one.Similarity(g); i == 0 || s > best {
			best, ok = s, true
		}
	}
	return best, ok
}

func (t *Tap) wants(display string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.display == display
}

func (t *Tap) add(display string, g *Grid) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.display != display {
		return
	}
	if t.grids = append(t.grids, g); len(t.grids) > kept {
		t.grids = t.grids[1:]
	}
}

// tapped is a source that shows its frames to a tap.
type tapped struct {
	capture.Source
	tap     *Tap
	display string
}

// Next returns the next frame.
func (s *tapped) Next(ctx context.Context) (*capture.Frame, error) {
	f, err := s.Source.Next(ctx)
	if err == nil && s.tap.wants(s.display) {
		if g, err := captured(f); err == nil { // pixels that cannot be read are not compared
			s.tap.add(s.display, g)
		}
	}
	return f, err
}

// Close closes the source.
func (s *tapped) Close() error {
	s.tap.mu.Lock()
	delete(s.tap.sources, s)
	s.tap.mu.Unlock()
	return s.Source.Close()
}
