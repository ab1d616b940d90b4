package pipewire

import (
	"context"
	"fmt"
	"log/slog"

	"wavryhost/capture"
	"wavryhost/platform/screencast"
)

// MutterConfig configures the capture of a monitor of GNOME.
type MutterConfig struct {
	// Bus is the address of the session bus, and Socket the path of PipeWire's socket.
	Bus, Socket string
	// Monitor is the name of the monitor's connector.
	Monitor string
	// Demand is what the frames are for.
	Demand capture.Demand
}

// NewMutter opens a monitor of GNOME. Nobody is asked. It takes no longer than ctx and five seconds. The Source
// outlives ctx.
func NewMutter(ctx context.Context, cfg MutterConfig, log *slog.Logger) (*Source, error) {
	what := "monitor " + cfg.Monitor + " of GNOME"
	return opened(ctx, what, cfg.Demand, func() (*Source, error) {
		limited, cancel := context.WithTimeout(ctx, openTimeout)
		defer cancel()
		session, node, err := screencast.Record(limited, cfg.Bus, cfg.Monitor, cursorOf(cfg.Demand))
		if err != nil {
			return nil, err
		}
		return newSource(limited, what, session, cfg.Demand, log, func(wake func()) (pipe, error) {
			socket, err := dial(limited, cfg.Socket)
			if err != nil {
				return nil, err
			}
			return openStream(socket, node, streamProperties, cfg.Demand.FPS, wake)
		})
	})
}

// opened opens a display, and gives an error a reason.
func opened(ctx context.Context, what string, d capture.Demand, open func() (*Source, error)) (*Source, error) {
	if err := d.MemoryOnly(); err != nil {
		return nil, err
	}
	if err := Available(); err != nil {
		return nil, err
	}
	s, err := open()
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("pipewire: open %s: %w", what, ctx.Err())
	}
	return nil, fmt.Errorf("pipewire: open %s: %w", what, capture.WithReason(err, reason(err)))
}

func cursorOf(d capture.Demand) screencast.Cursor {
	if d.Cursor == capture.CursorEmbedded {
		return screencast.CursorEmbedded
	}
	return screencast.CursorHidden
}
