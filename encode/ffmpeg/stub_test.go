//go:build !cgo || noffmpeg

package ffmpeg

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"wavryhost/encode"
)

func TestWithoutFFmpegEveryEncoderSaysSo(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	SetLogger(log)
	var factories []encode.Factory
	for _, p := range encode.Profiles() {
		factories = append(factories, New(p, log))
	}
	if len(factories) != len(encode.Profiles()) {
		t.Errorf("got %d factories; want one for each profile", len(factories))
	}
	for _, f := range factories {
		_, err := f.Open(encode.Params{})
		if !errors.Is(err, encode.ErrNoEncoder) || !strings.Contains(err.Error(), "built without FFmpeg") {
			t.Errorf("%s: got %v", f.Profile().Name, err)
		}
		proof := Prove(t.Context(), f, encode.Params{})
		if proof.Usable || proof.Profile != f.Profile().Name || !strings.Contains(proof.Why, "built without FFmpeg") {
			t.Errorf("got %+v", proof)
		}
	}
}
