package pointer

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"wavryhost/capture"
)

// source is a pointer that a test moves.
type source struct {
	moves  chan capture.Pointer
	lost   chan struct{}
	closed chan struct{}
}

func newSource() *source {
	return &source{
		moves: make(chan capture.Pointer, 16), lost: make(chan struct{}), closed: make(chan struct{}),
	}
}

func (s *source) NextPointer(ctx context.Context) (capture.Pointer, error) {
	select {
	case p := <-s.moves:
		return p, nil
	case <-s.lost:
		return capture.Pointer{}, capture.ErrLost
	case <-ctx.Done():
		return capture.Pointer{}, ctx.Err()
	}
}

func (s *source) Close() error {
	close(s.closed)
	return nil
}

func (s *source) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// pipe is a data channel whose messages a test reads.
type pipe struct {
	sent     [][]byte
	buffered int
	err      error
}

func (p *pipe) Send(b []byte) error {
	if p.err != nil {
		return p.err
	}
	p.sent = append(p.sent, bytes.Clone(b))
	return nil
}

func (p *pipe) Buffered() int { return p.buffered }

// message is a decoded message.
type message struct {
	kind    protowire.Number
	numbers map[protowire.Number]uint64
	bytes   []byte
}

// decode reads messages with the protobuf library alone.
func decode(t *testing.T, b []byte) message {
	t.Helper()
	kind, _, n := protowire.ConsumeTag(b)
	body, m := protowire.ConsumeBytes(b[n:])
	if n < 0 || m != len(b)-n {
		t.Fatalf("%x is not one message", b)
	}
	got := message{kind: kind, numbers: make(map[protowire.Number]uint64)}
	for len(body) > 0 {
		field, kind, n := protowire.ConsumeTag(body)
		body = body[n:]
		switch kind {
		case protowire.VarintType:
			got.numbers[field], n = protowire.ConsumeVarint(body)
		case protowire.BytesType:
			got.bytes, n = protowire.ConsumeBytes(body)
		default:
			t.Fatalf("field %d has type %d", field, kind)
		}
		body = body[n:]
	}
	return got
}

func square(side int, pixel [4]byte) *capture.Shape {
	return &capture.Shape{
		Width: side, Height: side, Hot: image.Pt(1, 2), Pix: bytes.Repeat(pixel[:], side*side),
	}
}

func testHub(t *testing.T) *Hub {
	t.Helper()
	return NewHub(slog.New(slog.NewTextHandler(t.Output(), nil)), nil)
}

// All viewers of a display share its pointer, which is closed with the last one.
func TestFeedsShareAPointer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, s, opens := testHub(t), newSource(), 0
		open := func(context.Context) (capture.PointerSource, error) {
			opens++
			return s, nil
		}
		var feeds []*Feed
		for range 3 {
			f, err := h.Open(t.Context(), "x11:0", open)
			if err != nil {
				t.Fatal(err)
			}
			feeds = append(feeds, f)
		}
		s.moves <- capture.Pointer{At: image.Pt(3, 4), Display: image.Pt(640, 480)}
		synctest.Wait()
		for i, f := range feeds {
			if state, _ := f.now(); state.At != image.Pt(3, 4) {
				t.Errorf("feed %d: got %+v", i, state)
			}
		}
		feeds[0].Close()
		feeds[1].Close()
		synctest.Wait()
		if s.isClosed() || opens != 1 {
			t.Errorf("got %d opens, and closed: %v, while there is a feed", opens, s.isClosed())
		}
		feeds[2].Close()
		h.Wait()
		if !s.isClosed() {
			t.Error("the pointer stays open without feeds")
		}
	})
}

// A pointer that is lost has nothing to draw, and is opened again.
func TestLostPointerIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, first, second, opens := testHub(t), newSource(), newSource(), 0
		f, err := h.Open(t.Context(), "x11:0", func(context.Context) (capture.PointerSource, error) {
			switch opens++; opens {
			case 1:
				return first, nil
			case 2:
				return nil, capture.ErrNotFound
			}
			return second, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		shape := square(4, [4]byte{1, 2, 3, 255})
		first.moves <- capture.Pointer{Visible: true, Shape: shape, Display: image.Pt(9, 9)}
		synctest.Wait()
		before, _ := f.now()
		close(first.lost)
		synctest.Wait()
		if state, _ := f.now(); before.Shape == 0 || state != (State{}) || !first.isClosed() {
			t.Errorf("got %+v, then %+v; want nothing to draw, and the source closed", before, state)
		}
		second.moves <- capture.Pointer{Visible: true, Shape: square(4, [4]byte{1, 2, 3, 255}), Display: image.Pt(9, 9)}
		time.Sleep(time.Second)
		synctest.Wait()
		if state, _ := f.now(); state != before {
			t.Errorf("got %+v; want %+v with the ID of the equal shape", state, before)
		}
		f.Close()
		h.Wait()
	})
}

func TestPointerThatCannotBeOpened(t *testing.T) {
	h := testHub(t)
	_, err := h.Open(t.Context(), "x11:0", func(context.Context) (capture.PointerSource, error) {
		return nil, capture.ErrUnsupported
	})
	if !errors.Is(err, capture.ErrUnsupported) || len(h.followers) != 0 {
		t.Errorf("got %v, and %d followers", err, len(h.followers))
	}
}

// feedOf returns a feed with a state, which no source changes.
func feedOf(s State, with *shape) *Feed { return &Feed{of: &follower{state: s, shape: with}} }

// A shape is sent once, in parts, as a PNG image that is what the display shows.
func TestShapesAreSentOnce(t *testing.T) {
	h := testHub(t)
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // content that does not compress
	huge := square(256, [4]byte{})
	for i := range huge.Pix {
		huge.Pix[i] = byte(r.Uint32())
	}
	copy(huge.Pix, []byte{10, 20, 30, 255, 5, 5, 200, 100}) // the second has more color than alpha
	s, err := h.shape(huge)
	if err != nil {
		t.Fatal(err)
	}
	to := &pipe{}
	sender := NewSender(to)
	for x := range 3 {
		f := feedOf(State{Shape: s.id, At: image.Pt(x, -5), Display: image.Pt(800, 600)}, s)
		if _, err := sender.Send(f, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	var whole []byte
	var states []message
	for _, b := range to.sent {
		if len(b) > partSize+64 {
			t.Errorf("a message has %d bytes", len(b))
		}
		m := decode(t, b)
		if m.kind == fieldState {
			states = append(states, m)
			continue
		}
		if m.numbers[1] != uint64(s.id) || m.numbers[7] != uint64(len(whole)) || m.numbers[4] != 256 ||
			protowire.DecodeZigZag(m.numbers[3]) != 2 {
			t.Errorf("got a part of a shape %v", m.numbers)
		}
		whole = append(whole, m.bytes...)
	}
	if len(states) != 3 || states[2].numbers[1] != 3 || protowire.DecodeZigZag(states[2].numbers[3]) != 2 ||
		protowire.DecodeZigZag(states[2].numbers[4]) != -5 || states[2].numbers[5] != 800 {
		t.Errorf("got states %v", states)
	}
	picture, err := png.Decode(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	for x, want := range []color.NRGBA{{30, 20, 10, 255}, {255, 12, 12, 100}} {
		if got := color.NRGBAModel.Convert(picture.At(x, 0)); got != want {
			t.Errorf("pixel %d: got %v; want %v", x, got, want)
		}
	}
}

// A viewer that is behind gets the newest position once it has room, and not what came before.
func TestCrowdedChannelGetsTheNewestPosition(t *testing.T) {
	to := &pipe{buffered: crowded + 1}
	sender := NewSender(to)
	now := time.Unix(1, 0)
	next, err := sender.Send(feedOf(State{At: image.Pt(1, 1)}, nil), now)
	if err != nil || len(to.sent) != 0 || !next.After(now) {
		t.Errorf("got %d messages, then %v, %v; want another attempt", len(to.sent), next, err)
	}
	to.buffered = 0
	latest := feedOf(State{At: image.Pt(2, 2)}, nil)
	for range 2 {
		if next, err = sender.Send(latest, now); err != nil || !next.IsZero() {
			t.Errorf("got %v, %v", next, err)
		}
	}
	if len(to.sent) != 1 || protowire.DecodeZigZag(decode(t, to.sent[0]).numbers[3]) != 2 {
		t.Errorf("got %d messages; want the newest position once", len(to.sent))
	}
	to.err = errors.New("closed")
	if _, err := sender.Send(nil, now); err == nil {
		t.Error("a closed channel is no error")
	}
}

// The viewer forgets old shapes. A shape that it may have forgotten is sent with the next state that needs it.
func TestShapesAreSentAgainBeforeTheViewerForgetsThem(t *testing.T) {
	h, to := testHub(t), &pipe{}
	sender := NewSender(to)
	known := []uint32{} // of a viewer that keeps twice as many as the sender counts on
	for n := range 200 {
		s, err := h.shape(square(1+n*7%50, [4]byte{byte(n * 7 % 50), 0, 0, 255}))
		if err != nil {
			t.Fatal(err)
		}
		to.sent = nil
		if _, err := sender.Send(feedOf(State{Shape: s.id, At: image.Pt(n, 0)}, s), time.Time{}); err != nil {
			t.Fatal(err)
		}
		for _, b := range to.sent {
			if m := decode(t, b); m.kind == fieldShape {
				known = append(known, uint32(m.numbers[1]))
			}
		}
		known = known[max(0, len(known)-2*remembered):]
		if !slices.Contains(known, s.id) {
			t.Fatalf("change %d: the viewer lacks shape %d", n, s.id)
		}
	}
}
