//go:build !cgo || noffmpeg

package ffmpeg

import (
	"context"
	"fmt"
	"log/slog"

	"wavryhost/encode"
)

type factory struct{ profile encode.Profile }

// New returns a factory whose Open says that FFmpeg is not built in.
func New(profile encode.Profile, _ *slog.Logger) encode.Factory { return factory{profile} }

func (f factory) Profile() encode.Profile { return f.profile }

func (f factory) Open(encode.Params) (encode.Encoder, error) {
	return nil, fmt.Errorf("%s: this program was built without FFmpeg: %w", f.profile.Name, encode.ErrNoEncoder)
}

// Libraries returns nothing.
func Libraries() []Library { return []Library{} }

// Prove returns a proof that says that FFmpeg is not built in.
func Prove(_ context.Context, f encode.Factory, p encode.Params) encode.Proof {
	_, err := New(f.Profile(), nil).Open(p)
	profile := f.Profile()
	return encode.Proof{
		Profile: profile.Name, Variant: profile.Variant, Why: err.Error(), Failure: encode.FailureOf(err),
	}
}

// Decoder does not exist in this build.
type Decoder struct{}

// NewDecoder returns an error that says that FFmpeg is not built in.
func NewDecoder(codec string) (*Decoder, error) {
	return nil, fmt.Errorf("decode %s: this program was built without FFmpeg: %w", codec, encode.ErrNoEncoder)
}

// Luma is not called, because there is no Decoder.
func (*Decoder) Luma([]byte) (plane []byte, width, height int, err error) {
	return nil, 0, 0, encode.ErrNoEncoder
}

// Close does nothing.
func (*Decoder) Close() {}

// SetLogger does nothing: there is no FFmpeg to log.
func SetLogger(*slog.Logger) {}

// VerifyConfig says how thoroughly to verify an encoder.
type VerifyConfig struct {
	// Opens is how often the encoder is opened and closed.
	Opens int
}

// Verify returns a proof that says that FFmpeg is not built in.
func Verify(ctx context.Context, f encode.Factory, p encode.Params, _ VerifyConfig) encode.Verification {
	return encode.Verification{Proof: Prove(ctx, f, p)}
}
