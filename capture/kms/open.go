package kms

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/descriptors"
	"wavryhost/platform/kms"
)

// New opens an output. It takes no longer than ctx and five seconds. The Source outlives ctx.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Source, error) {
	kinds, err := kindsOf(cfg.Demand)
	if err != nil {
		return nil, err
	}
	return dialed(ctx, cfg, func(ctx context.Context, c *kms.Conn) (*Source, error) {
		s := &Source{cfg: cfg, log: log.With("output", cfg.Output), conn: c, news: make(chan struct{}, 1)}
		s.refresh.Store(true)
		s.heard.Store(new(time.Now()))
		s.slots = capture.NewSlots(maxFrames, s.wake)
		var before error
		for i, kind := range kinds {
			err := s.open(ctx, kind)
			switch {
			case err == nil:
				return s, nil
			case before != nil:
				return nil, fmt.Errorf("%w (in %v: %v)", err, kinds[i-1], before) //nolint:errorlint // an error has one reason
			case !refused(err):
				return nil, err
			}
			before = err
		}
		return nil, before
	})
}

// kindsOf returns the kinds of memory to try: one at least, and two at most.
func kindsOf(d capture.Demand) ([]capture.Kind, error) {
	var kinds []capture.Kind
	for _, k := range d.Kinds {
		if (k == capture.Memory || k == capture.DMA) && !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	if slices.Contains(kinds, capture.DMA) {
		d.Kinds = nil
		switch {
		case d.Cursor != capture.CursorEmbedded:
		case len(kinds) == 1:
			return nil, fmt.Errorf("%w: the pointer cannot be drawn into a picture in %v", capture.ErrDemand, capture.DMA)
		default:
			kinds = []capture.Kind{capture.Memory}
		}
	} else {
		kinds = []capture.Kind{capture.Memory}
	}
	return kinds, d.MemoryOnly()
}

// open gets the first picture, in a kind of memory.
func (s *Source) open(ctx context.Context, kind capture.Kind) error {
	s.kind, s.seen, s.inPlace, s.compared = kind, kms.State{}, true, time.Time{}
	now, files, err := s.conn.Look(ctx, s.query())
	switch {
	case err != nil:
	case now.FB == 0 || now.Picture == nil:
		err = kms.ErrOff
		descriptors.Close(files)
	case kind == capture.DMA && !sameDevice(capture.Device(now.Render), s.cfg.Demand.Device):
		d := s.cfg.Demand.Device
		err = fmt.Errorf("%w: the picture is in the memory of device %d:%d, and its consumer uses device %d:%d",
			capture.ErrDemand, now.Render.Major, now.Render.Minor, d.Major, d.Minor)
		descriptors.Close(files)
	default:
		if kind == capture.DMA {
			s.store = newSurfaces(now.Driver, s.slots)
		} else {
			s.store = &pictures{slots: s.slots}
		}
		if _, err = s.accept(now, files); err != nil {
			s.close()
		}
	}
	if kind == capture.DMA && (errors.Is(err, capture.ErrUnsupported) || errors.Is(err, kms.ErrUnsupported)) {
		text := strings.TrimPrefix(err.Error(), capture.ErrUnsupported.Error()+": ")
		err = fmt.Errorf("%w: no %v: %s", capture.ErrDemand, kind, text)
	}
	return err
}

// refused reports whether an output may be captured in another kind of memory after an error.
func refused(err error) bool {
	return errors.Is(err, capture.ErrDemand) || errors.Is(err, capture.ErrUnsupported) ||
		errors.Is(err, kms.ErrUnsupported)
}

// sameDevice reports whether two devices are the same, as far as both are known.
func sameDevice(a, b capture.Device) bool {
	return a == b || a == capture.Device{} || b == capture.Device{}
}

// query asks for the picture.
func (s *Source) query() kms.Query {
	return kms.Query{
		Output: s.cfg.Output, Picture: true, Cursor: s.embeds(), Surface: s.kind == capture.DMA,
	}
}
