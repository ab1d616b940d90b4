package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

var card = encode.Surfaces{Kind: capture.DMA, Device: capture.Device{Major: 226, Minor: 128}}

// graphics is a display whose pictures are on a graphics card, for demands that accept that.
type graphics struct {
	*capturetest.Screen
	without bool // the display has no surfaces
	tiles   bool // its surfaces cannot be copied

	mu      sync.Mutex
	demands []capture.Demand
}

func (g *graphics) open(ctx context.Context, d capture.Demand) (capture.Source, error) {
	g.mu.Lock()
	g.demands = append(g.demands, d)
	g.mu.Unlock()
	kinds := d.Kinds
	if slices.Contains(kinds, capture.Memory) {
		d.Kinds = nil
	}
	on := slices.Contains(kinds, capture.DMA) && !g.without
	if g.tiles && !on {
		return nil, fmt.Errorf("%w: tiles", capture.ErrUnsupported)
	}
	s, err := g.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	return &graphicsSource{Source: s, of: g, on: on}, nil
}

// opened returns how often it was opened, and the last demand.
func (g *graphics) opened() (int, capture.Demand) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.demands), g.demands[len(g.demands)-1]
}

type graphicsSource struct {
	capture.Source
	of *graphics
	on bool
}

func (s *graphicsSource) Traits() capture.Traits {
	t := s.Source.Traits()
	t.Surfaces = !s.of.without
	if s.on {
		t.Kind = capture.DMA
	}
	return t
}

func (s *graphicsSource) Next(ctx context.Context) (*capture.Frame, error) {
	f, err := s.Source.Next(ctx)
	if err != nil || !s.on {
		return f, err
	}
	copier := &capture.Copier{Copy: func(_ capture.Surface, dst []byte, _ int) error {
		if s.of.tiles {
			return errors.New("tiles")
		}
		copy(dst, f.Pix)
		return nil
	}}
	surface := &capture.DMABuf{Device: card.Device, Ready: -1}
	on := capture.NewSurfaceFrame(surface, copier, func(*capture.Frame) { f.Release() })
	on.Width, on.Height, on.Damage, on.Time, on.Seq, on.Took = f.Width, f.Height, f.Damage, f.Time, f.Seq, f.Took
	return on, nil
}

// openGraphics runs a pipeline of a display on a graphics card.
func openGraphics(t *testing.T, g *graphics, encoders ...encode.Factory) *rig {
	t.Helper()
	g.Screen = capturetest.NewScreen(640, 480)
	return runRig(t, Display{ID: "card", Open: g.open}, g.Screen, nil, 60, encoders...)
}

// watch changes the screen for d. Several times a second, the source is looked at, as by Pool.Sweep.
func (r *rig) watch(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		move(r.screen, 100*time.Millisecond)
		r.suit()
	}
}

// seen counts the frames of an encoder by their memory.
type seen struct {
	mu            sync.Mutex
	memory, cards int
}

func (s *seen) frame(f *capture.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Surface != nil {
		s.cards++
	} else {
		s.memory++
	}
	return nil
}

// take returns the counts since the last call.
func (s *seen) take() (memory, cards int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	memory, cards = s.memory, s.cards
	s.memory, s.cards = 0, 0
	return memory, cards
}

func fakeCard(s *seen) *encodetest.Fake {
	return encodetest.New(encodetest.Config{
		Profile: encode.Profile{Name: "card", Hardware: true, Surfaces: card}, OnFrame: s.frame,
	})
}

func fakeProcessor(name string, format encode.Format, s *seen) *encodetest.Fake {
	return encodetest.New(encodetest.Config{Profile: encode.Profile{Name: name, Format: format}, OnFrame: s.frame})
}

// Pictures stay on the card as long as all encoders of the display read them there.
func TestPicturesStayOnTheCardOfAllEncoders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var onCard, onProcessor seen
		g := &graphics{}
		r := openGraphics(t, g, fakeCard(&onCard), fakeProcessor("processor", encode.VP9, &onProcessor))
		first, second := newFakeViewer(), newFakeViewer()
		r.encodings.of(encode.H264)[0].Subscribe(first)
		r.watch(time.Second)
		if memory, cards := onCard.take(); memory != 0 || cards < 50 {
			t.Errorf("alone: %d frames from main memory, %d from the card", memory, cards)
		}
		n, demand := g.opened()
		kinds := []capture.Kind{capture.DMA, capture.Memory}
		if n != 1 || !slices.Equal(demand.Kinds, kinds) || demand.Device != card.Device {
			t.Errorf("opened %d times, at last for %+v; want once, for the card", n, demand)
		}
		if counted := testutil.ToFloat64(r.met.surfaces.WithLabelValues("dma-buf")); counted < 50 {
			t.Errorf("counted %v surfaces; want 50 at least", counted)
		}
		r.encodings.of(encode.VP9)[0].Subscribe(second)
		r.watch(time.Second / 2)
		onCard.take()
		onProcessor.take()
		r.watch(time.Second)
		for name, s := range map[string]*seen{"card": &onCard, "processor": &onProcessor} {
			if memory, cards := s.take(); memory < 50 || cards != 0 {
				t.Errorf("with a viewer of another codec, %s: %d frames from main memory, %d from the card", name, memory, cards)
			}
		}
		r.encodings.of(encode.VP9)[0].Unsubscribe(second)
		r.watch(emptyLinger + time.Second)
		onCard.take()
		r.watch(time.Second)
		if memory, cards := onCard.take(); memory != 0 || cards < 50 {
			t.Errorf("alone again: %d frames from main memory, %d from the card", memory, cards)
		}
		if n, _ := g.opened(); n != 3 {
			t.Errorf("opened %d times; want 3", n)
		}
		if got := r.kinds(); len(got) != 0 {
			t.Errorf("happened: %v; want nothing", got)
		}
		first.decodable(t)
		r.close(t)
	})
}

// A card that cannot read the surfaces of a display encodes its pictures from main memory. That is no fault of it.
func TestCardThatCannotReadSurfacesGetsPicturesFromMainMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counts seen
		device := encodetest.New(encodetest.Config{
			Profile: encode.Profile{Name: "card", Hardware: true, Surfaces: card},
			OnFrame: func(f *capture.Frame) error {
				if f.Surface != nil {
					return fmt.Errorf("card: %w: format of tiles", encode.ErrSurface)
				}
				return counts.frame(f)
			},
		})
		var other seen
		g := &graphics{}
		r := openGraphics(t, g, device, fakeProcessor("processor", encode.H264, &other))
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		r.watch(2 * time.Second)
		if memory, _ := counts.take(); memory < 60 {
			t.Errorf("%d pictures from main memory in 2 s; want 60 at least", memory)
		}
		if memory, cards := other.take(); memory+cards != 0 {
			t.Errorf("the other encoder got %d pictures", memory+cards)
		}
		if n, demand := g.opened(); n != 2 || len(demand.Kinds) != 0 {
			t.Errorf("opened %d times, at last for %v; want twice, at last for main memory", n, demand.Kinds)
		}
		happened := r.all()
		if len(happened) != 1 || happened[0].kind != encoderReplaced || happened[0].fallback.Reason != FallbackSurface ||
			happened[0].fallback.To != "card" {
			t.Errorf("happened: %+v; want that the card goes on with main memory", happened)
		}
		v.decodable(t)
		r.close(t)
	})
}

// Where only the card can read the pictures, an encoder on the processor loses the display, with the reason.
func TestProcessorWithoutPicturesInMainMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counts seen
		fails := false
		device := encodetest.New(encodetest.Config{
			Profile: encode.Profile{Name: "card", Hardware: true, Surfaces: card},
			OnFrame: func(f *capture.Frame) error {
				if fails {
					return errTest
				}
				return counts.frame(f)
			},
		})
		processor := encodetest.New(encodetest.Config{
			Profile: encode.Profile{Name: "processor"},
			OnFrame: func(f *capture.Frame) error {
				if _, _, err := f.Map(); err != nil {
					return fmt.Errorf("%w: %w", encode.ErrSurface, err)
				}
				return nil
			},
		})
		g := &graphics{tiles: true}
		r := openGraphics(t, g, device, processor)
		v := newFakeViewer()
		r.encodings.list[0].Subscribe(v)
		r.watch(time.Second)
		if _, cards := counts.take(); cards < 50 {
			t.Errorf("%d pictures from the card; want 50 at least", cards)
		}
		fails = true
		r.watch(time.Second)
		if st := r.Status(); st.State != Lost || st.Reason == "" {
			t.Errorf("got %+v; want a lost display", st)
		}
		fails = false
		r.watch(firstBan + 5*time.Second) // the card is tried again
		counts.take()
		r.watch(time.Second)
		if _, cards := counts.take(); cards < 50 || r.Status().State != Live {
			t.Errorf("%d pictures from the card, %+v; want the display back", cards, r.Status())
		}
		r.close(t)
	})
}

// A display without surfaces is not opened again when encoders change.
func TestDisplayWithoutSurfacesStaysOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var onCard, onProcessor seen
		g := &graphics{without: true}
		r := openGraphics(t, g, fakeCard(&onCard), fakeProcessor("processor", encode.VP9, &onProcessor))
		r.encodings.of(encode.H264)[0].Subscribe(newFakeViewer())
		r.watch(time.Second)
		r.encodings.of(encode.VP9)[0].Subscribe(newFakeViewer())
		r.watch(time.Second)
		if n, _ := g.opened(); n != 1 {
			t.Errorf("opened %d times; want once", n)
		}
		if memory, cards := onCard.take(); memory < 100 || cards != 0 {
			t.Errorf("%d frames from main memory, %d from a card", memory, cards)
		}
		r.close(t)
	})
}
