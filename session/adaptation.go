package session

import (
	"fmt"

	"wavryhost/adapt"
	"wavryhost/adapt/record"
)

// adaptation is what the controller of a viewer is made of.
type adaptation struct {
	config adapt.Config
	make   func(adapt.Config) (adapt.Controller, error)
	about  record.About
	limit  int // bytes of the recording
	// local is the bitrate to begin with on a local path, 0 for the same as on any.
	local int
}

// begin makes the viewer's controller. The caller holds ctl, or is the only one to know v.
func (v *viewer) begin() error {
	controller, err := v.adaptation.make(v.adaptation.config)
	if err != nil {
		return err
	}
	v.controller, v.recorder = controller, nil
	if loop, ok := controller.(*adapt.Loop); ok {
		v.recorder = record.New(loop, v.adaptation.about, v.created, v.adaptation.limit)
		v.controller = v.recorder
	}
	v.targets = v.controller.Tick(v.clock())
	v.seq, v.key, v.rate = v.targets.Seq, v.targets.ForceIDR, v.targets.PacingRate
	return nil
}

// beginLocal begins again with a higher bitrate when the path is local, as far as settings and grants allow. Nothing has been sent yet.
func (v *viewer) beginLocal() error {
	v.limits.mu.Lock()
	most, _ := v.limits.lowest(v.most)
	limit := adapt.Limit{FPS: v.limits.fps, Scale: v.limits.scale}
	v.limits.mu.Unlock()
	c := v.adaptation.config.WithDefaults()
	start := min(v.adaptation.local, most, c.Max)
	if c.Fixed != 0 || start <= c.Start || !v.peer.Local() {
		return nil
	}
	v.ctl.Lock()
	defer v.ctl.Unlock()
	v.adaptation.config.Start = start
	if err := v.begin(); err != nil {
		return fmt.Errorf("begin with %d bits per second: %w", start, err)
	}
	if limit.FPS > 0 || limit.Scale > 0 {
		limit.At = v.clock()
		v.controller.OnLimit(limit)
	}
	v.sender.SetRate(v.rate)
	return nil
}
