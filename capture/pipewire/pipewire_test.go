package pipewire

import (
	"context"
	"errors"
	"image"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
)

const patience = 20 * time.Second

func logger(tb testing.TB) *slog.Logger {
	tb.Helper()
	return slog.New(slog.NewTextHandler(tb.Output(), nil))
}

// agreed is the POD of a format that was agreed on.
func agreed(pixels uint32, w, h int) []byte {
	return object(
		objectFormat, paramFormat,
		property{keyMediaType, id(mediaVideo)},
		property{keyMediaSubtype, id(mediaRaw)},
		property{keyVideoFormat, choice(choiceNone, podID, 1, pixels)},
		property{keyVideoSize, pod(podRectangle, words(uint32(w), uint32(h)))},
	)
}

// producer is a pipe whose pictures a test makes.
type producer struct {
	mapped, silentDamage, swapped bool
	padding                       int

	mu      sync.Mutex
	wake    func()
	size    image.Point
	buffers [][]byte
	busy    []bool
	last    int // the buffer of the newest picture
	serial  uint64
	fresh   bool // the format is not reported yet
	pending *picture
	pongs   uint64
	mute    bool
	err     error
	closed  bool
	garble  func(p *picture)
	odd     bool          // the next format is pod
	taken   chan struct{} // a picture was taken
	pod     []byte
}

// newProducer returns a producer of 50x40 pixels with 8 buffers.
func newProducer() *producer {
	p := &producer{mapped: true, wake: func() {}}
	p.reshape(50, 40, 8)
	return p
}

func (p *producer) stride() int { return 4 * (p.size.X + p.padding) }

// reshape gives the stream another size.
func (p *producer) reshape(w, h, buffers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size = image.Pt(w, h)
	p.serial++
	p.fresh = true
	p.buffers, p.busy, p.pending = nil, make([]bool, buffers), nil
	for range buffers {
		p.buffers = append(p.buffers, make([]byte, p.stride()*h))
	}
	p.send(nil)
}

// paint changes an area.
func (p *producer) paint(r image.Rectangle, color uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.buffers[p.last]
	b := p.free()
	copy(p.buffers[b], before)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			px := p.buffers[b][y*p.stride()+4*x:]
			px[0], px[1], px[2] = byte(color), byte(color>>8), byte(color>>16)
			if p.swapped {
				px[0], px[2] = px[2], px[0]
			}
		}
	}
	p.last = b
	p.send(&r)
}

// free returns a buffer to write to, or the pending one.
func (p *producer) free() int {
	for i, busy := range p.busy {
		if !busy {
			return i
		}
	}
	if p.pending == nil {
		panic("all buffers are held")
	}
	return int(p.pending.slot)
}

// send makes the buffer last a picture.
func (p *producer) send(r *image.Rectangle) {
	f := &picture{
		slot: int32(p.last), generation: uint32(p.serial), length: uint64(p.stride() * p.size.Y),
		size:   uint32(p.stride() * p.size.Y),
		stride: int32(p.stride()), format: p.serial, whole: r == nil || p.silentDamage,
	}
	if p.mapped {
		f.pix = p.buffers[p.last]
	}
	if !f.whole {
		f.damage = [][4]int32{{int32(r.Min.X), int32(r.Min.Y), int32(r.Dx()), int32(r.Dy())}}
	}
	if old := p.pending; old != nil {
		f.whole = f.whole || old.whole
		f.damage = append(f.damage, old.damage...)
		p.busy[old.slot] = false
	}
	p.busy[p.last] = true
	if p.garble != nil {
		p.garble(f)
	}
	p.pending = f
	p.wake()
}

func (p *producer) take(wanted bool) update {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := update{err: p.err, pongs: p.pongs, buffers: len(p.buffers)}
	if p.fresh {
		p.fresh = false
		pixels := uint32(videoBGRx)
		if p.swapped {
			pixels = videoRGBA
		}
		u.serial, u.format = p.serial, agreed(pixels, p.size.X, p.size.Y)
		if p.serial > 1 && p.odd {
			u.format = p.pod
		}
	}
	if wanted && p.pending != nil {
		u.picture, p.pending = p.pending, nil
		select {
		case p.taken <- struct{}{}:
		default:
		}
	}
	return u
}

func (p *producer) giveBack(f *picture) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if uint64(f.generation) == p.serial {
		p.busy[f.slot] = false
	}
}

func (p *producer) copy(f *picture, dst []byte, from uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if from+uint64(len(dst)) > uint64(len(p.buffers[f.slot])) {
		return errors.New("out of reach")
	}
	copy(dst, p.buffers[f.slot][from:])
	return nil
}

func (p *producer) ping() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mute {
		p.pongs++
		p.wake()
	}
}

func (p *producer) close() { p.closed = true }

func (p *producer) set(err error) {
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
	p.wake()
}

// desk is a session that a test ends.
type desk struct {
	ended chan struct{}
	err   error
}

func newDesk() *desk { return &desk{ended: make(chan struct{})} }

func (d *desk) Ping(answered func())  { answered() }
func (d *desk) Lost() <-chan struct{} { return d.ended }
func (d *desk) Err() error            { return d.err }
func (d *desk) Close()                {}

func open(t *testing.T, p *producer, o owner) (*Source, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return newSource(ctx, "a test", o, capture.Demand{}, logger(t), func(wake func()) (pipe, error) {
		p.wake = wake
		return p, nil
	})
}

func TestContract(t *testing.T) {
	for name, tt := range map[string]struct {
		buffers int
		edit    func(p *producer)
	}{
		"memory of the compositor": {buffers: 8},
		"without damage":           {buffers: 8, edit: func(p *producer) { p.silentDamage = true }},
		"padded":                   {buffers: 8, edit: func(p *producer) { p.padding, p.silentDamage = 3, true }},
		"few buffers":              {buffers: 3},
		"copied":                   {buffers: 8, edit: func(p *producer) { p.mapped = false }},
		"copied, padded":           {buffers: 8, edit: func(p *producer) { p.mapped, p.padding = false, 5 }},
		"red first":                {buffers: 8, edit: func(p *producer) { p.swapped = true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p *producer
			n := 0
			capturetest.Run(t, func(ctx context.Context, d capture.Demand) (capture.Source, error) {
				if err := d.MemoryOnly(); err != nil {
					return nil, err
				}
				p = &producer{mapped: true, wake: func() {}}
				if tt.edit != nil {
					tt.edit(p)
				}
				p.reshape(100, 60, tt.buffers)
				s, err := newSource(ctx, "a test", newDesk(), d, logger(t), func(wake func()) (pipe, error) {
					p.wake = wake
					return p, nil
				})
				if err != nil {
					return nil, err
				}
				return s, nil
			}, capturetest.Options{Change: func() {
				n++
				p.paint(image.Rect(5*(n%10), 10, 5*(n%10)+33, 17+n%30), uint32(n)*0x10305)
			}})
		})
	}
}

// Colors and damage are the producer's, whichever way the pixels take. A picture that is like the one before is none.
func TestPicturesAndDamage(t *testing.T) {
	at := image.Rect(3, 20, 13, 31)
	for name, tt := range map[string]struct {
		edit func(p *producer)
		want image.Rectangle
	}{
		"told":            {func(*producer) {}, at},
		"compared":        {func(p *producer) { p.silentDamage = true }, image.Rect(0, 16, 50, 32)},
		"copied":          {func(p *producer) { p.mapped = false }, at},
		"red first":       {func(p *producer) { p.swapped = true }, at},
		"far outside":     {func(p *producer) { p.garble = stretch }, at.Union(image.Rect(3, 20, 50, 40))},
		"padded, compare": {func(p *producer) { p.padding, p.silentDamage = 2, true }, image.Rect(0, 16, 50, 32)},
	} {
		t.Run(name, func(t *testing.T) {
			p := &producer{mapped: true, wake: func() {}}
			tt.edit(p)
			p.reshape(50, 40, 8)
			s, err := open(t, p, newDesk())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			capturetest.Next(t, s).Release()
			p.paint(at, 0x123456)
			f := capturetest.Next(t, s)
			if len(f.Damage) != 1 || f.Damage[0] != tt.want || !f.Exact {
				t.Errorf("got damage %v, exact: %v; want %v", f.Damage, f.Exact, tt.want)
			}
			for y := range 40 {
				for x := range 50 {
					px := f.Pix[y*f.Stride+4*x:]
					got, want := px[0] == 0x56 && px[1] == 0x34 && px[2] == 0x12, image.Pt(x, y).In(at)
					if got != want {
						t.Fatalf("pixel %d,%d is painted: %v; want %v", x, y, got, want)
					}
				}
			}
			f.Release()
			if !p.silentDamage {
				return
			}
			p.paint(at, 0x123456)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if f, err := s.Next(ctx); err == nil {
				t.Errorf("got damage %v after the same picture again; want no frame", f.Damage)
				f.Release()
			}
		})
	}
}

// stretch makes damage reach far beyond the picture.
func stretch(p *picture) {
	for i := range p.damage {
		p.damage[i][2], p.damage[i][3] = -1, 1<<31-1
	}
}

// The size may change at any time. Frames of the old size keep their memory.
func TestFormatChanges(t *testing.T) {
	p := newProducer()
	s, err := open(t, p, newDesk())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	old := capturetest.Next(t, s)
	for _, size := range []image.Point{{64, 30}, {1, 1}, {301, 7}, {50, 40}} {
		p.reshape(size.X, size.Y, 6)
		f := capturetest.Next(t, s)
		if f.Bounds().Size() != size || len(f.Damage) != 1 || f.Damage[0] != f.Bounds() {
			t.Errorf("got %v with damage %v; want all of %v", f.Bounds(), f.Damage, size)
		}
		f.Release()
	}
	if len(old.Pix) != 4*50*40 {
		t.Errorf("got %d bytes in the old frame", len(old.Pix))
	}
	old.Release()
}

// What a producer, a daemon or a compositor does wrong ends the Source with one reason, and never blocks it.
func TestFaults(t *testing.T) {
	garbled := func(edit func(f *picture)) func(p *producer, d *desk) {
		return func(p *producer, _ *desk) {
			p.mu.Lock()
			p.garble, p.taken = edit, make(chan struct{}, 1)
			p.mu.Unlock()
			for i := range maxBad {
				p.paint(image.Rect(0, 0, 2, 2), uint32(i))
				<-p.taken
			}
		}
	}
	raw := func(b []byte) func(p *producer, d *desk) {
		return func(p *producer, _ *desk) {
			p.mu.Lock()
			p.odd, p.pod, p.fresh = true, b, true
			p.serial++
			p.mu.Unlock()
			p.wake()
		}
	}
	for name, tt := range map[string]struct {
		act    func(p *producer, d *desk)
		reason error
		text   string
	}{
		"the daemon ends": {
			func(p *producer, _ *desk) { p.set(errors.New("connection error")) },
			capture.ErrLost, "connection",
		},
		"the session ends": {func(_ *producer, d *desk) {
			d.err = errors.New("the compositor ended it")
			close(d.ended)
		}, capture.ErrLost, "ended it"},
		"negative rows": {garbled(func(f *picture) { f.stride = -f.stride }), capture.ErrLost, "rows of -200 bytes"},
		"short rows":    {garbled(func(f *picture) { f.stride = 8 }), capture.ErrLost, "rows of 8 bytes"},
		"huge rows":     {garbled(func(f *picture) { f.stride = 1<<31 - 4 }), capture.ErrLost, "rows of"},
		"far offset":    {garbled(func(f *picture) { f.offset = 1<<32 - 1 }), capture.ErrLost, "in a buffer of"},
		"short buffer": {
			garbled(func(f *picture) { f.length, f.pix = 5, nil }), capture.ErrLost,
			"in a buffer of 5",
		},
		"part of data":    {garbled(func(f *picture) { f.size = 10 }), capture.ErrLost, "10 bytes of a picture"},
		"0x0":             {raw(agreed(videoBGRx, 0, 0)), capture.ErrUnsupported, "0x0"},
		"far too wide":    {raw(agreed(videoBGRx, 1<<31, 1)), capture.ErrUnsupported, "32768x1"},
		"far too large":   {raw(agreed(videoBGRx, 32767, 32767)), capture.ErrUnsupported, "32767x32767"},
		"another format":  {raw(agreed(2, 50, 40)), capture.ErrUnsupported, "format 2"},
		"garbage":         {raw([]byte("garbage! and more of it")), capture.ErrUnsupported, "malformed"},
		"an empty format": {raw(nil), capture.ErrUnsupported, "malformed"},
		"cut off":         {raw(agreed(videoBGRx, 50, 40)[:60]), capture.ErrUnsupported, "malformed"},
		"sound": {
			raw(object(objectFormat, paramFormat, property{keyMediaType, id(1)})),
			capture.ErrUnsupported, "no raw video",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, d := newProducer(), newDesk()
			s, err := open(t, p, d)
			if err != nil {
				t.Fatal(err)
			}
			capturetest.Next(t, s).Release()
			done := make(chan error, 1)
			go func() {
				for {
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					f, err := s.Next(ctx)
					cancel()
					if err != nil {
						done <- err
						return
					}
					f.Release()
				}
			}()
			tt.act(p, d)
			err = <-done
			if !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v; want %q", err, tt.text)
			}
			capturetest.CheckReason(t, err, tt.reason)
			if _, again := s.Next(t.Context()); !errors.Is(again, tt.reason) {
				t.Errorf("after that: got %v; want the same reason", again)
			}
			if err := s.Close(); err != nil || !p.closed {
				t.Errorf("got %v, closed: %v", err, p.closed)
			}
		})
	}
}

// A daemon or compositor that does not answer shows by Alive, and does not block Next.
func TestHang(t *testing.T) {
	p := newProducer()
	s, err := open(t, p, newDesk())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	capturetest.Next(t, s).Release()
	p.mu.Lock()
	p.mute = true
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 1600*time.Millisecond)
	defer cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v; want the error of the context", err)
	}
	if age := time.Since(s.Alive()); age < time.Second {
		t.Errorf("the display was heard %v ago; want a second at least", age)
	}
}

// A stream that has no first picture says why.
func TestNoFirstPicture(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(p *producer)
		text string
	}{
		"no format":  {func(p *producer) { p.fresh, p.pending = false, nil }, "no format was agreed on"},
		"no picture": {func(p *producer) { p.pending = nil }, "no picture came"},
		"bad one":    {func(p *producer) { p.pending.stride = -1 }, "rows of -1 bytes"},
	} {
		p := newProducer()
		tt.edit(p)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, err := newSource(ctx, "a test", newDesk(), capture.Demand{}, logger(t), func(wake func()) (pipe, error) {
			p.wake = wake
			return p, nil
		})
		cancel()
		if err == nil || !strings.Contains(err.Error(), tt.text) || !p.closed {
			t.Errorf("%s: got %v, closed: %v; want %q", name, err, p.closed, tt.text)
		}
	}
}

func FuzzFormat(f *testing.F) {
	f.Add(agreed(videoBGRx, 1920, 1080))
	f.Add(formats(60))
	f.Add(buffers())
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseFormat(b)
		if err == nil && (got.size.X < 0 || got.size.X > maxSide+1) {
			t.Errorf("got %+v", got)
		}
	})
}
