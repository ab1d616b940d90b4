//go:build linux

package darwin

import (
	"context"
	"testing"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
)

func TestThousandOpens(t *testing.T) {
	m := newMac(t)
	capturetest.RunOpens(t, capturetest.Opens, func(ctx context.Context, d capture.Demand) (capture.Source, error) {
		s, err := newSource(ctx, m, Config{Demand: d}, logger(t))
		if err != nil {
			return nil, err
		}
		return s, nil
	})
	if left := m.left(); left != "" {
		t.Errorf("%s are left", left)
	}
}
