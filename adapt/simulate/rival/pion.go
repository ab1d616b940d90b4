// Package rival plays the simulator's cases with other controllers: the estimator of pion
// (github.com/pion/interceptor/pkg/gcc), and stand-ins for GoogCC and SCReAM version 2 after their public
// descriptions.
//
// Pion's estimator reads the machine's clock, so its simulations keep step with it: in real time, or in a test within
// testing/synctest, where time passes as fast as it is computed. It gets feedback in the form of transport-wide
// congestion control packets, as pion's own receiver makes them. All rivals get what adapt gets: the same links,
// source, encoder, pacer and reports.
package rival

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/gcc"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/logging"
	"github.com/pion/rtp"

	"wavryhost/adapt"
)

const (
	ssrc       = 1
	extension  = 1
	pacing     = 1.5 // what pion's users mostly give the pacer
	mediaShare = 0.955
	uri        = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)

// Pion makes controllers out of pion's estimator. Close ends all of them.
type Pion struct {
	mu   sync.Mutex
	made []*estimator
}

// New makes a controller.
func (p *Pion) New(cfg adapt.Config) (adapt.Controller, error) {
	cfg = cfg.WithDefaults()
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	bwe, err := gcc.NewSendSideBWE(gcc.SendSideBWEInitialBitrate(cfg.Start), gcc.SendSideBWEMinBitrate(cfg.Min),
		gcc.SendSideBWEMaxBitrate(cfg.Max), gcc.SendSideBWEPacer(gcc.NewNoOpPacer()), gcc.WithLoggerFactory(quiet))
	if err != nil {
		return nil, fmt.Errorf("rival: make pion's estimator: %w", err)
	}
	e := &estimator{cfg: cfg, bwe: bwe, recorder: twcc.NewRecorder(ssrc)}
	e.sent = bwe.AddStream(&interceptor.StreamInfo{
		SSRC: ssrc, RTPHeaderExtensions: []interceptor.RTPHeaderExtension{{URI: uri, ID: extension}},
	}, interceptor.RTPWriterFunc(func(_ *rtp.Header, payload []byte, _ interceptor.Attributes) (int, error) {
		return len(payload), nil
	}))
	p.mu.Lock()
	p.made = append(p.made, e)
	p.mu.Unlock()
	return e, nil
}

// Close ends the controllers. It returns the errors that they had.
func (p *Pion) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, e := range p.made {
		errs = append(errs, e.err, e.bwe.Close())
	}
	p.made = nil
	return errors.Join(errs...)
}

// estimator is pion's, as a controller without quality states, probes, gate or ladder: it has none.
type estimator struct {
	cfg      adapt.Config
	bwe      *gcc.SendSideBWE
	sent     interceptor.RTPWriter
	recorder *twcc.Recorder
	payload  [2048]byte
	key      bool
	err      error
}

var _ adapt.Controller = (*estimator)(nil)

func (e *estimator) note(err error) {
	if e.err == nil {
		e.err = err
	}
}

// OnSent implements adapt.Controller.
func (e *estimator) OnSent(p adapt.Packet) {
	h := rtp.Header{Version: 2, SSRC: ssrc, SequenceNumber: uint16(p.ID)}
	counter, err := (&rtp.TransportCCExtension{TransportSequence: uint16(p.ID)}).Marshal()
	if err == nil {
		err = h.SetExtension(extension, counter)
	}
	if err == nil {
		_, err = e.sent.Write(&h, e.payload[:max(0, min(p.Size-h.MarshalSize(), len(e.payload)))], nil)
	}
	e.note(err)
}

// OnFeedback implements adapt.Controller.
func (e *estimator) OnFeedback(f adapt.Feedback) {
	if f.Kind != adapt.TWCC && f.Kind != adapt.CCFB {
		return
	}
	heard := false
	for _, p := range f.Packets {
		if p.Arrived.IsZero() {
			continue
		}
		heard = true
		e.recorder.Record(ssrc, uint16(p.ID), p.Arrived.UnixMicro()%int64(24*time.Hour/time.Microsecond))
	}
	if heard {
		e.note(e.bwe.WriteRTCP(e.recorder.BuildFeedbackPacket(), nil))
	}
}

// OnSource implements adapt.Controller.
func (e *estimator) OnSource(adapt.Source) {}

// OnKeyframeRequest implements adapt.Controller.
func (e *estimator) OnKeyframeRequest(time.Time, adapt.KeyframeReason) { e.key = true }

// OnApplied implements adapt.Controller.
func (e *estimator) OnApplied(adapt.Applied) {}

// OnLimit implements adapt.Controller.
func (e *estimator) OnLimit(adapt.Limit) {}

// Tick implements adapt.Controller.
func (e *estimator) Tick(time.Time) adapt.Targets {
	rate := e.bwe.GetTargetBitrate()
	key := e.key
	e.key = false
	return adapt.Targets{
		EncoderBitrate: min(max(int(mediaShare*float64(rate)), e.cfg.Min), e.cfg.Max),
		PacingRate:     int(pacing * float64(rate)), FPS: e.cfg.FPS,
		ForceIDR: key,
	}
}

// Estimate implements adapt.Controller.
func (e *estimator) Estimate(time.Time) adapt.Estimate {
	return adapt.Estimate{Target: e.bwe.GetTargetBitrate()}
}
