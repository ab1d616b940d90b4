//go:build linux

package wayland

import (
	"context"
	"testing"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
	"wavryhost/platform/wlproto/wlprototest"
)

func TestThousandOpens(t *testing.T) {
	for name, globals := range map[string]map[string]uint32{
		"ext": wlprototest.ImageCopy(), "wlr": wlprototest.Screencopy(3),
	} {
		t.Run(name, func(t *testing.T) {
			c := wlprototest.New(t, wlprototest.Config{Globals: globals, Outputs: screens})
			capturetest.RunOpens(t, capturetest.Opens, func(ctx context.Context, d capture.Demand) (capture.Source, error) {
				s, err := New(ctx, Config{Socket: c.Socket, Output: "OUT-1", Demand: d}, logger(t))
				if err != nil {
					return nil, err
				}
				return s, nil
			})
		})
	}
}
