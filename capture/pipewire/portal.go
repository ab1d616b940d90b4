package pipewire

import (
	"context"
	"log/slog"

	"wavryhost/capture"
	"wavryhost/platform/screencast"
)

// PortalConfig configures the capture of the screen of xdg-desktop-portal.
type PortalConfig struct {
	Portal *screencast.Portal
	// Demand is what the frames are for.
	Demand capture.Demand
}

// NewPortal opens the screen that a person chose. Before the choice it returns an error, and the desktop's dialog
// stays: a later call gets the answer. It takes no longer than ctx and five seconds. The Source outlives ctx.
func NewPortal(ctx context.Context, cfg PortalConfig, log *slog.Logger) (*Source, error) {
	const what = "the screen of the desktop's portal"
	return opened(ctx, what, cfg.Demand, func() (*Source, error) {
		limited, cancel := context.WithTimeout(ctx, openTimeout)
		defer cancel()
		screen, err := cfg.Portal.Open(limited, cursorOf(cfg.Demand))
		if err != nil {
			return nil, err
		}
		demand := cfg.Demand
		demand.Cursor = capture.CursorHidden
		if screen.Cursor() == screencast.CursorEmbedded {
			demand.Cursor = capture.CursorEmbedded
		}
		return newSource(limited, what, screen, demand, log, func(wake func()) (pipe, error) {
			socket, err := screen.PipeWire(limited)
			if err != nil {
				return nil, err
			}
			return openStream(socket, screen.Node(), streamProperties, demand.FPS, wake)
		})
	})
}
