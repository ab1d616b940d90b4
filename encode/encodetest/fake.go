// Package encodetest has a fake encoder for tests, and the suite that every encoder must pass.
package encodetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
)

// Config describes the behavior of a fake.
type Config struct {
	// Profile is the profile of the fake. Its name defaults to "fake", its format to H264.
	Profile encode.Profile
	// OpenErr is what Open returns, if set.
	OpenErr error
	// Limit is the number of encoders that may be open at a time, as with hardware; 0 is no limit. Beyond it Open
	// returns ErrLimit.
	Limit int
	// Sizes are the supported sizes, regardless of the profile. For others Open returns encode.ErrSize.
	Sizes encode.Limits
	// OnEncode, if set, is called first in each Encode, with the number of the call from 1 on. It may block or delay
	// like a driver that hangs. Its error is Encode's. It runs on the caller's goroutine.
	OnEncode func(n int) error
	// OnFrame, if set, is called with each frame. Its error is Encode's.
	OnFrame func(*capture.Frame) error
	// Took is the reported duration of each picture, or 0 for the real one. Decisions based on it do not depend on the
	// load of the machine.
	Took time.Duration
	// QP returns the quantizer of a picture that is encoded for the n-th time since its last change or keyframe, from
	// 0. By default it starts at 26 and falls by 2 each time, to 2.
	QP func(n int) float64
}

// ErrLimit is the error of a fake at its limit, in the words of FFmpeg's NVENC.
var ErrLimit = fmt.Errorf("OpenEncodeSessionEx failed: incompatible client key (21): %w", encode.ErrBusy)

// Stats counts the calls of a fake's encoders.
type Stats struct {
	Opened, Closed int
	Pictures       int // access units made
	Keys           int // of them keyframes
	Repeats        int // of them made without a frame
	Rates          []encode.Rate
	Params         []encode.Params // one for each Open
	Content        encode.Content  // of the last picture
}

// Fake is a factory of encoders that make access units of the right size and ignore the pixels.
type Fake struct {
	cfg Config

	mu    sync.Mutex
	stats Stats // guarded by mu
}

var (
	_ encode.Factory = (*Fake)(nil)
	_ encode.Encoder = (*fakeEncoder)(nil)
)

// New returns a fake.
func New(cfg Config) *Fake {
	if cfg.Profile.Name == "" {
		cfg.Profile.Name = "fake"
	}
	if cfg.Profile.Format == (encode.Format{}) {
		cfg.Profile.Format = encode.H264
	}
	return &Fake{cfg: cfg}
}

// Stats returns the current counts. It may be called concurrently.
func (f *Fake) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Rates = append([]encode.Rate(nil), s.Rates...)
	s.Params = append([]encode.Params(nil), s.Params...)
	return s
}

func (f *Fake) count(change func(*Stats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.stats)
}

// Profile returns the configured profile.
func (f *Fake) Profile() encode.Profile { return f.cfg.Profile }

// Open returns a fake encoder.
func (f *Fake) Open(p encode.Params) (encode.Encoder, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if f.cfg.OpenErr != nil {
		return nil, f.cfg.OpenErr
	}
	err := errors.Join(f.cfg.Profile.Limits.Check(p.Width, p.Height), f.cfg.Sizes.Check(p.Width, p.Height))
	if err != nil {
		return nil, err
	}
	full := false
	f.count(func(s *Stats) {
		if full = f.cfg.Limit > 0 && s.Opened-s.Closed >= f.cfg.Limit; full {
			return
		}
		s.Opened++
		s.Params = append(s.Params, p)
	})
	if full {
		return nil, ErrLimit
	}
	return &fakeEncoder{fake: f, params: p, rekey: true}, nil
}

type fakeEncoder struct {
	fake   *Fake
	params encode.Params
	calls  int
	seq    uint64
	again  int // repetitions of the picture since its last change or keyframe
	rekey  bool
	begun  bool
	failed error
}

func (e *fakeEncoder) Profile() encode.Profile { return e.fake.cfg.Profile }

func (e *fakeEncoder) Encode(f *capture.Frame, o encode.Order) (encode.AccessUnit, error) {
	if f != nil {
		defer f.Release()
	}
	if e.failed != nil {
		return encode.AccessUnit{}, e.failed
	}
	began, at := time.Now(), o.Time
	e.calls++
	if e.fake.cfg.OnEncode != nil {
		if err := e.fake.cfg.OnEncode(e.calls); err != nil {
			e.failed = err
			return encode.AccessUnit{}, err
		}
	}
	if f != nil && e.fake.cfg.OnFrame != nil {
		if err := e.fake.cfg.OnFrame(f); err != nil {
			e.failed = err
			return encode.AccessUnit{}, err
		}
	}
	if f != nil {
		at, e.seq, e.begun = f.Time, f.Seq, true
	}
	if !e.begun {
		e.failed = errors.New("fake: no picture to encode again")
		return encode.AccessUnit{}, e.failed
	}
	key := o.Key || e.rekey
	e.rekey = false
	share := e.params.BitsPerSecond / e.params.FPS
	if key && e.fake.cfg.Profile.Price == encode.PriceFree {
		share *= max(1, o.Shares)
	}
	e.again++
	if f != nil || key {
		e.again = 0
	}
	e.fake.count(func(s *Stats) {
		s.Pictures++
		s.Content = o.Content
		if key {
			s.Keys++
		}
		if f == nil {
			s.Repeats++
		}
	})
	took := e.fake.cfg.Took
	if took == 0 {
		took = time.Since(began)
	}
	return encode.AccessUnit{
		Data: bitstreams[e.fake.cfg.Profile.Format].unit(share/8, e.params, key, byte(e.seq)), Key: key, Time: at, Seq: e.seq,
		Width: e.params.Width, Height: e.params.Height, Encode: took, QP: e.qp(),
	}, nil
}

// qp is the quantizer of a picture that gets sharper with each repetition.
func (e *fakeEncoder) qp() float64 {
	if e.fake.cfg.QP != nil {
		return e.fake.cfg.QP(e.again)
	}
	return float64(max(26-2*e.again, 2))
}

func (e *fakeEncoder) SetRate(r encode.Rate) error {
	if e.failed != nil {
		return e.failed
	}
	p := e.params
	p.BitsPerSecond, p.FPS = r.BitsPerSecond, r.FPS
	if err := p.Validate(); err != nil {
		return err
	}
	e.rekey = e.rekey || p != e.params && e.fake.cfg.Profile.Price != encode.PriceFree
	e.params = p
	e.fake.count(func(s *Stats) { s.Rates = append(s.Rates, r) })
	return nil
}

func (e *fakeEncoder) Close() error {
	if !errors.Is(e.failed, encode.ErrClosed) {
		e.failed = encode.ErrClosed
		e.fake.count(func(s *Stats) { s.Closed++ })
	}
	return nil
}
