package ffmpeg

import (
	"errors"
	"image"
	"testing"

	"wavryhost/encode"
)

func TestRefusalsOfDriversAreUnderstood(t *testing.T) {
	for line, want := range map[string]error{
		"OpenEncodeSessionEx failed: out of memory (10): (no " +
			"details)": encode.ErrBusy,
		"OpenEncodeSessionEx failed: incompatible client key (21): (no " +
			"details)": encode.ErrBusy,
		"OpenEncodeSessionEx failed: unsupported device (2): (no " +
			"details)": encode.ErrNoEncoder,
		"Failed to create encode pipeline context: 11 (list argument exceeds maximum " +
			"number)": encode.ErrBusy,
		"Failed to create encode pipeline context: 20 (HW busy " +
			"now)": encode.ErrBusy,
		"Error: cannot create compression session: -12915": encode.ErrBusy,
		"Error: cannot create compression session: -12908": encode.ErrNoEncoder,
		"Width 5120 exceeds 4096":                          encode.ErrSize,
		"Height 4320 exceeds 4096":                         encode.ErrSize,
		"InitializeEncoder failed: invalid param (8): Frame Dimension less than the minimum supported " +
			"value.": encode.ErrSize,
		"Hardware does not support encoding at size 5120x1440 (constraints: width 32-4096 height " +
			"32-4096)": encode.ErrSize,
		"Cannot load libcuda.so.1": encode.ErrNoEncoder,
		"No capable devices found": encode.ErrNoEncoder,
		"dl_fn->cuda_dl->cuInit(0) failed -> CUDA_ERROR_NO_DEVICE: no CUDA-capable device is " +
			"detected": encode.ErrNoEncoder,
		"InitializeEncoder failed: generic error (20): (no details)": errRefused,
		"The minimum required Nvidia driver for nvenc is 520.56.06 or " +
			"newer": encode.ErrNoEncoder,
		"Failed to create encode pipeline configuration: 2 (resource allocation " +
			"failed)": encode.ErrBusy,
		"No usable encoding entrypoint found for profile VAProfileH264ConstrainedBaseline " +
			"(13)": encode.ErrNoEncoder,
		"Driver does not support any RC mode compatible with selected options (supported modes: " +
			"CQP)": errRefused,
		"InitializeEncoder failed: invalid param (8): Preset P1 to P7 not supported with older 2 Pass RC " +
			"Modes": errRefused,
		"Failed to create a VAAPI device: the display's width 1920 is " +
			"fine": errRefused,
	} {
		if got := refusal([]string{"something before", line}); !errors.Is(got, want) {
			t.Errorf("%q means %v; want %v", line, got, want)
		}
	}
}

func TestRefusalsSayWhichSizesAreSupported(t *testing.T) {
	for line, want := range map[string]encode.Limits{
		"Width 5120 exceeds 4096":  {Max: image.Pt(4096, 0)},
		"Height 4320 exceeds 4096": {Max: image.Pt(0, 4096)},
		"Hardware does not support encoding at size 5120x1440 (constraints: width 32-4096 height 64-2304)": {
			Min: image.Pt(32, 64), Max: image.Pt(4096, 2304),
		},
		"Hardware does not support encoding at size 64x64 (constraints: width 128-2147483647 height 96-2147483647)": {
			Min: image.Pt(128, 96),
		},
		"InitializeEncoder failed: invalid param (8): Frame Dimension less than the minimum supported value.": {},
	} {
		refused, ok := errors.AsType[*encode.SizeError](refusal([]string{"something before", line}))
		if !ok || refused.Limits != want {
			t.Errorf("%q: got %+v; want limits %+v", line, refused, want)
		}
	}
}
