package pipeline

import (
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"wavryhost/encode"
	"wavryhost/platform/guard"
	"wavryhost/session/lockorder"
	"wavryhost/session/progress"
)

// Encoding is one encode of a display. Its subscribers all use its format and get the same access units.
//
// # Slow viewers
//
// A frame is dropped before it is encoded, never after, so that what was sent stays decodable. With one subscriber
// that is all: while its pacer is full or its controller skips, the newest frame waits. With several, a subscriber
// that is not ready delays the others by at most 100 ms. Then the picture goes out without it. Its picture freezes,
// nobody waits for it, and its rate does not count. It gets a keyframe as soon as it is ready, but not before 1 s, and
// after 2 s, 4 s … 16 s when it keeps falling behind. So a viewer that cannot follow degrades itself, and costs the
// others a keyframe now and then. A viewer that can follow, but at a low rate, lowers the rate of the encoding, until
// the arranger gives it another one.
type Encoding struct {
	index    int // from 1, among the encodings of its codec
	format   encode.Format
	log      *slog.Logger
	met      *Metrics
	guard    *guard.Guard
	encoders *encoderPool
	hooks    encodingHooks
	limits   DisplayLimits

	// The capture loop and others put frames into frames, and a token into kick if the encode loop should ask its
	// subscribers again. kick has room for one token.
	frames *mailbox
	kick   chan struct{}

	// forCapture is for the capture loop. It may be read without a lock.
	forCapture struct {
		// fps is the frame rate.
		fps atomic.Int64
		// active reports whether a connected subscriber exists, occupied whether any does.
		active, occupied atomic.Bool
		// blocked reports whether a picture waits for a subscriber to be ready, congested whether that lasts.
		blocked, congested atomic.Bool
		// cut is set by the capture loop before a frame that must become a keyframe.
		cut atomic.Bool
	}

	mu            lockorder.Mutex[encodingLock]
	subscriptions []*subscription
	status        EncodingStatus
}

// encodingHooks are what an encoding needs of its pipeline. The encode loop calls them. They do not block.
type encodingHooks struct {
	// wake makes the capture loop read forCapture again.
	wake func()
	// refresh asks for the whole picture.
	refresh func()
	// rebuild asks for another source, because an encoder that hangs holds one of its frames.
	rebuild func()
	// suit opens another source if the encoders cannot read the pictures of this one, or not as well.
	suit func()
	// fallback reports that an encoder is replaced.
	fallback func(f Fallback)
	// progress has the encode loop; nil for none. display is the ID of its display.
	progress *progress.Board
	display  string
}

// EncodingStatus is the status of an encoding.
type EncodingStatus struct {
	// Encoder is the name of its encoder, or empty while none is open. Price is the price of the encoder's rate
	// changes.
	Encoder string
	Price   encode.Price
	// Width and Height are the size of its pictures in pixels.
	Width, Height int
	BitsPerSecond int
	// Stuck reports whether all its encoders failed, so that its picture is frozen.
	Stuck bool

	hardware bool
	surfaces encode.Surfaces // that the encoder reads
	took     time.Duration   // to convert and encode a picture
	fps      int
	threads  int // the most cores that a picture uses at a time
}

// lateShare is the share of a frame time in encoding from which on pictures are late.
const lateShare = 0.7

// cores returns the load of the encoding, in cores of the machine or, in hardware, of its encoder.
func (s EncodingStatus) cores() float64 { return s.took.Seconds() * float64(s.fps*max(s.threads, 1)) }

// Late reports whether pictures take nearly all of their frame time.
func (s EncodingStatus) Late() bool { return s.took.Seconds()*float64(s.fps) > lateShare }

func newEncoding(
	index int, format encode.Format, log *slog.Logger, met *Metrics, encoders *encoderPool, limits DisplayLimits,
	hooks encodingHooks, g *guard.Guard,
) *Encoding {
	e := &Encoding{
		index: index, format: format, log: log, met: met, guard: g, encoders: encoders, hooks: hooks, limits: limits,
		frames: newMailbox(), kick: make(chan struct{}, 1),
	}
	e.forCapture.fps.Store(int64(limits.FPS))
	return e
}

// Subscribe adds a subscriber. It gets pictures from the next keyframe on.
func (e *Encoding) Subscribe(s Subscriber) {
	e.mu.Lock()
	e.subscriptions = append(e.subscriptions, &subscription{Subscriber: s})
	e.forCapture.occupied.Store(true)
	e.mu.Unlock()
	e.Nudge()
}

// Unsubscribe removes a subscriber. The encode loop may still deliver the current picture.
func (e *Encoding) Unsubscribe(s Subscriber) {
	e.mu.Lock()
	e.subscriptions = slices.DeleteFunc(e.subscriptions, func(o *subscription) bool { return o.Subscriber == s })
	e.forCapture.occupied.Store(len(e.subscriptions) > 0)
	e.mu.Unlock()
	e.Nudge()
}

// Nudge makes the encode loop ask its subscribers again.
func (e *Encoding) Nudge() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// Rate returns the bitrate while the encoding has a connected subscriber, and 0 otherwise.
func (e *Encoding) Rate() int {
	if !e.forCapture.active.Load() {
		return 0
	}
	return e.Status().BitsPerSecond
}

// Index returns its number among the encodings of its format, from 1.
func (e *Encoding) Index() int { return e.index }

// Name returns its index as text.
func (e *Encoding) Name() string { return strconv.Itoa(e.index) }

// Status returns its status.
func (e *Encoding) Status() EncodingStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// setStatus changes the status.
func (e *Encoding) setStatus(change func(*EncodingStatus)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.status)
}
