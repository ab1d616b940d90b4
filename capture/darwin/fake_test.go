package darwin

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"sync"
	"testing"

	"wavryhost/capture"
)

// mac is a system whose display a test paints.
type mac struct {
	t *testing.T

	mu        sync.Mutex
	display   Display
	absent    bool // the display is not connected
	away      bool // there is no graphical session
	denied    bool
	requests  int
	quiet     bool // streams deliver nothing when they start
	silent    bool // samples do not say what changed
	hung      chan struct{}
	pix       []byte // gray, a byte for each pixel
	streams   []*macStream
	startErr  error
	lastScale float64

	heap     sync.Mutex // guards the following fields; mu may be held
	buffers  map[capture.PixelBuffer]*macBuffer
	refs     capture.PixelBuffer
	unmapped bool // buffers cannot be mapped
}

type macBuffer struct {
	planes []plane
	locks  int
}

type macStream struct {
	mac     *mac
	params  params
	deliver func(sample)
	stopped func(error)
}

func newMac(t *testing.T) *mac {
	t.Helper()
	m := &mac{t: t, buffers: make(map[capture.PixelBuffer]*macBuffer), lastScale: 1}
	m.display = Display{ID: "37D8832A-2D66-02CA-B9F7-8F30A301B230", Main: true, number: 1}
	m.setSize(64, 48)
	return m
}

func (m *mac) setSize(w, h int) {
	m.display.Size, m.display.Area = image.Pt(w, h), image.Rect(0, 0, w/2, h/2)
	m.pix = make([]byte, w*h)
}

func (m *mac) session() bool {
	m.mu.Lock()
	hung := m.hung
	away := m.away
	m.mu.Unlock()
	if hung != nil {
		<-hung
	}
	return !away
}

func (m *mac) permitted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.denied
}

func (m *mac) request() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
}

func (m *mac) displays() []Display {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.absent {
		return nil
	}
	return []Display{{ID: "another", number: 9}, m.display}
}

func (m *mac) start(
	_ context.Context, p params, deliver func(sample), stopped func(error),
) (stream, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.startErr != nil:
		return nil, m.startErr
	case m.denied:
		return nil, systemError{domain, "The user declined", -3801}.reasoned()
	}
	s := &macStream{m, p, deliver, stopped}
	m.streams = append(m.streams, s)
	if !m.quiet {
		deliver(sample{status: statusIdle})
		m.show(s, m.whole())
	}
	return s, nil
}

func (m *mac) whole() image.Rectangle { return image.Rectangle{Max: m.display.Size} }

// show delivers the picture to a stream. The caller holds mu.
func (m *mac) show(s *macStream, damage image.Rectangle) {
	b := &macBuffer{}
	size := s.params.size
	if s.params.nv12 {
		b.planes = []plane{
			{make([]byte, (size.X+16)*size.Y), size.X + 16},
			{make([]byte, (size.X+16)*size.Y/2), size.X + 16},
		}
		for i := range b.planes[1].pix {
			b.planes[1].pix[i] = 128
		}
	} else {
		b.planes = []plane{{make([]byte, (4*size.X+64)*size.Y), 4*size.X + 64}}
	}
	for y := range min(size.Y, m.display.Size.Y) {
		for x := range min(size.X, m.display.Size.X) {
			value := m.pix[y*m.display.Size.X+x]
			if s.params.nv12 {
				b.planes[0].pix[y*b.planes[0].stride+x] = value
				continue
			}
			at := b.planes[0].pix[y*b.planes[0].stride+4*x:]
			at[0], at[1], at[2], at[3] = value, value, value, 255
		}
	}
	m.heap.Lock()
	if len(m.buffers) > queueDepth-2 {
		m.t.Errorf("%d buffers of %d are held; want two that macOS can write to", len(m.buffers), queueDepth)
	}
	m.refs++
	ref := m.refs
	m.buffers[ref] = b
	m.heap.Unlock()
	s.deliver(sample{
		status: statusComplete, buffer: ref, size: size, known: !m.silent, damage: []image.Rectangle{damage},
		scale: [2]float64{2, m.lastScale},
	})
}

// paint changes an area, and delivers it.
func (m *mac) paint(r image.Rectangle) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			m.pix[y*m.display.Size.X+x] += 37
		}
	}
	for _, s := range m.streams {
		m.show(s, r)
	}
}

// tell delivers a status without a picture.
func (m *mac) tell(st status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.streams {
		s.deliver(sample{status: st})
	}
}

// fail ends all streams.
func (m *mac) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.streams {
		s.stopped(err)
	}
}

// set changes the system.
func (m *mac) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *mac) lock(b capture.PixelBuffer) ([]plane, error) {
	m.heap.Lock()
	defer m.heap.Unlock()
	if m.unmapped {
		return nil, errors.New("CVPixelBufferLockBaseAddress returns -6660")
	}
	m.buffers[b].locks++
	return m.buffers[b].planes, nil
}

func (m *mac) unlock(b capture.PixelBuffer) {
	m.heap.Lock()
	defer m.heap.Unlock()
	m.buffers[b].locks--
}

// release makes the buffer's memory unusable, as macOS does by writing to it.
func (m *mac) release(b capture.PixelBuffer) {
	m.heap.Lock()
	defer m.heap.Unlock()
	one := m.buffers[b]
	if one == nil || one.locks != 0 {
		m.t.Errorf("a buffer is released while it is %+v; want it held and not mapped", one)
		return
	}
	for _, p := range one.planes {
		for i := range p.pix {
			p.pix[i] ^= 0xff
		}
	}
	delete(m.buffers, b)
}

func (s *macStream) resize(size image.Point) {
	s.mac.mu.Lock()
	defer s.mac.mu.Unlock()
	s.params.size = size
	s.mac.show(s, s.mac.whole())
}

func (s *macStream) close() {
	s.mac.mu.Lock()
	defer s.mac.mu.Unlock()
	s.mac.streams = slices.DeleteFunc(s.mac.streams, func(one *macStream) bool { return one == s })
}

// left returns what sources have not given back.
func (m *mac) left() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heap.Lock()
	defer m.heap.Unlock()
	if len(m.buffers) == 0 && len(m.streams) == 0 {
		return ""
	}
	return fmt.Sprintf("%d buffers and %d streams", len(m.buffers), len(m.streams))
}
