//go:build integration && cgo && !noffmpeg

package ffmpeg

import (
	"errors"
	"image"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/encode/ffmpeg/standin"
)

// Each fault has its own error, from which the session decides what to do.
func TestVAAPIFaultsAtOpening(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		for _, c := range []struct {
			setting string
			want    error
			text    string
		}{
			{"sessions=0", encode.ErrBusy, ""},
			{"max=512", encode.ErrSize, "does not support encoding at size"},
			{"min=512", encode.ErrSize, "does not support encoding at size"},
			{"encode=none", encode.ErrNoEncoder, "No usable encoding entrypoint"},
			{"lost", encode.ErrNoEncoder, ""},
		} {
			t.Run(c.setting, func(t *testing.T) {
				d := standin.New(t, c.setting)
				before := descriptors(t)
				e, err := vaapi(t, name, d).Open(vaapiParams)
				if err == nil {
					t.Fatalf("opened; closing: %v", e.Close())
				}
				for _, reason := range []error{encode.ErrBusy, encode.ErrSize, encode.ErrNoEncoder} {
					if got, want := errors.Is(err, reason), errors.Is(c.want, reason); got != want {
						t.Errorf("got %v; want it to be %v alone", err, c.want)
					}
				}
				if !strings.Contains(err.Error(), c.text) {
					t.Errorf("got %v; want %q in it", err, c.text)
				}
				if after := descriptors(t); after != before {
					t.Errorf("got %d descriptors after the refusal; want %d", after, before)
				}
			})
		}
	})
}

func TestVAAPIHasRoomAgainAfterClose(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		f := vaapi(t, name, standin.New(t, "sessions=1"))
		first := open(t, f, vaapiParams)
		if _, err := f.Open(vaapiParams); !errors.Is(err, encode.ErrBusy) {
			t.Fatalf("got %v; want ErrBusy", err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		open(t, f, vaapiParams)
	})
}

// A device that breaks while it encodes ends the encoder with an error, and the next one works if the device does.
func TestVAAPIFaultsWhileEncoding(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		for _, c := range []struct {
			setting string
			rate    int // asked for after the fault, or 0
			text    string
		}{
			{"lost", 0, "operation failed"},
			{"rate=refused", 1_000_000, "invalid parameter"},
		} {
			t.Run(c.setting, func(t *testing.T) {
				d := standin.New(t)
				f := vaapi(t, name, d)
				before := descriptors(t)
				e := open(t, f, vaapiParams)
				if _, err := e.Encode(moving(0, 640, 360), encode.Order{}); err != nil {
					t.Fatal(err)
				}
				d.Set(t, c.setting)
				var err error
				if c.rate > 0 {
					err = e.SetRate(encode.Rate{BitsPerSecond: c.rate, FPS: 60})
				}
				if err == nil {
					_, err = e.Encode(moving(1, 640, 360), encode.Order{})
				}
				if err == nil || !strings.Contains(strings.ToLower(err.Error()), c.text) {
					t.Errorf("got %v; want %q in it", err, c.text)
				}
				if _, again := e.Encode(moving(2, 640, 360), encode.Order{}); again == nil {
					t.Error("a failed encoder went on")
				}
				recovers(t, d, f, e, before)
			})
		}
	})
}

// recovers checks that a failed encoder left no descriptors, and that a new one works once its device does. before is
// the number of descriptors before it was opened.
func recovers(t *testing.T, d standin.Device, f encode.Factory, failed encode.Encoder, before int) {
	t.Helper()
	if err := failed.Close(); err != nil {
		t.Error(err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("got %d descriptors after the failure; want %d", after, before)
	}
	d.Set(t)
	if _, err := open(t, f, vaapiParams).Encode(moving(0, 640, 360), encode.Order{}); err != nil {
		t.Errorf("the device works again, the encoder does not: %v", err)
	}
}

// The driver names the limits of a card. The profile is not asked.
func TestVAAPIProofHasTheDevicesSizes(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		p, _ := encode.FindProfile(name)
		p.Limits, p.Device = encode.Limits{}, standin.New(t, "min=96", "max=2048").Path
		f := New(p, slog.New(slog.DiscardHandler))
		want := encode.Limits{Min: image.Pt(96, 96), Max: image.Pt(2048, 2048)}
		if got := Prove(t.Context(), f, vaapiParams); got.Limits != want || !got.Usable {
			t.Errorf("got %+v; want the sizes %v", got, want)
		}
	})
}

// A driver that crashes takes its process along. So the trial of an encoder runs in a process of its own.
func TestVAAPICrashEndsTheProcess(t *testing.T) {
	for _, name := range vaapiNames {
		t.Run(name, func(t *testing.T) {
			crashes(t, func(d standin.Device) encode.Factory { return vaapi(t, name, d) }, func(standin.Device) []string {
				return standin.Env(t)
			})
		})
	}
}

// crashes checks that an encoder on a device that crashes ends its process. It runs the test again in a process
// with the variables of env.
func crashes(t *testing.T, factory func(standin.Device) encode.Factory, env func(standin.Device) []string) {
	t.Helper()
	const variable = "WAVRY_STANDIN_CRASH"
	if path := os.Getenv(variable); path != "" {
		e := open(t, factory(standin.Device{Path: path}), vaapiParams)
		_, err := e.Encode(moving(0, 640, 360), encode.Order{})
		t.Fatalf("the process lives on; the picture: %v", err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := standin.New(t, "crash")
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$")
	cmd.Env = slices.Concat(os.Environ(), env(d), []string{variable + "=" + d.Path})
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "SIGSEGV") {
		t.Errorf("got %v; want the end by SIGSEGV\n%s", err, out)
	}
}

// While a driver hangs, so does the call. It returns once the driver works again.
func TestVAAPIHangs(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		d := standin.New(t)
		hangs(t, d, open(t, vaapi(t, name, d), vaapiParams))
	})
}

// hangs checks that a call of an encoder lasts while its device hangs, and returns once the device works again.
func hangs(t *testing.T, d standin.Device, e encode.Encoder) {
	t.Helper()
	if _, err := e.Encode(moving(0, 640, 360), encode.Order{}); err != nil {
		t.Fatal(err)
	}
	d.Set(t, "hang")
	returned := make(chan error, 1)
	go func() {
		_, err := e.Encode(moving(1, 640, 360), encode.Order{})
		returned <- err
	}()
	select {
	case err := <-returned:
		t.Errorf("the call returned %v while the device hangs", err)
	case <-time.After(200 * time.Millisecond):
	}
	d.Set(t)
	if err := <-returned; err != nil {
		t.Errorf("after the device works again: %v", err)
	}
}

func TestVAAPIIsProved(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		for _, c := range []struct {
			setting, why string
			price        encode.Price
			uploads      string
		}{
			{"", "", freeOr(encode.PriceReopen), ""},
			{"rate=fixed", "", encode.PriceReopen, ""},
			{"import=none", "", freeOr(encode.PriceReopen), "memory type"},
			{"process=none", "", freeOr(encode.PriceReopen), "import a picture"},
			{"corrupt", "frame 0", 0, ""},
			{"max=512", "does not support encoding at size", 0, ""},
		} {
			t.Run(c.setting, func(t *testing.T) {
				d := standin.New(t, c.setting)
				proof := Prove(t.Context(), vaapi(t, name, d), vaapiParams)
				if proof.Usable != (c.why == "") || !strings.Contains(proof.Why, c.why) {
					t.Errorf("got usable %v, %q; want the reason %q", proof.Usable, proof.Why, c.why)
				}
				if c.why == "" && (proof.Price == nil || *proof.Price != c.price) {
					t.Errorf("got price %v; want %v", proof.Price, c.price)
				}
				reads := proof.Surfaces.Kind == capture.DMA
				if reads != (c.why == "" && c.uploads == "") || !strings.Contains(proof.Uploads, c.uploads) {
					t.Errorf("got surfaces %+v, %q; want the reason %q", proof.Surfaces, proof.Uploads, c.uploads)
				}
				if c.why == "" && proof.PSNR < 35 {
					t.Errorf("got PSNR %.1f dB; want 35 at least", proof.PSNR)
				}
			})
		}
	})
}

// A driver that takes a rate and ignores it is found by the pictures' sizes.
func TestVAAPIIgnoresTheRate(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		d := standin.New(t, "rate=ignored")
		e := open(t, vaapi(t, name, d), vaapiParams)
		for n := range 4 {
			if err := e.SetRate(encode.Rate{BitsPerSecond: vaapiParams.BitsPerSecond >> n, FPS: 60}); err != nil {
				t.Fatal(err)
			}
			unit, err := e.Encode(moving(n, 640, 360), encode.Order{})
			if err != nil || len(unit.Data) < 64_000 {
				t.Fatalf("picture %d of %d bytes, %v; want 64 KB", n, len(unit.Data), err)
			}
		}
	})
}

// A rate that rises and falls costs no keyframe where our FFmpeg changes it in place, and is in force within 200 ms.
func TestVAAPIKeepsRateSteps(t *testing.T) {
	standin.Each(t, vaapiNames, func(t *testing.T, name string) {
		price := freeOr(encode.PriceReopen)
		detail, err := verifyRate(t.Context(), priced(vaapi(t, name, standin.New(t)), price), &price)
		t.Log(detail)
		if err != nil && price == encode.PriceFree {
			t.Error(err)
		}
	})
}
