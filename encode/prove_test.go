package encode_test

import (
	"context"
	"fmt"
	"image"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wavryhost/encode"
)

// TestMain runs the test program as a proving process when its arguments say so: "prove" and how to behave.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "prove" {
		os.Exit(provingProcess(os.Args[2]))
	}
	os.Exit(m.Run())
}

func provingProcess(behaviour string) int {
	write := func(text string) { _, _ = os.Stdout.WriteString(text) }
	switch behaviour {
	case "good":
		write(
			`{"profile":"good","usable":true,"first_frame_ns":2000000,"mean_encode_ns":1000000,"per_megapixel_ns":4000000,"psnr_db":41.5,"limits":{"max":{"X":4096,"Y":2304}}}`, //nolint:lll // a raw string
		)
	case "poor":
		write(`{"profile":"poor","usable":false,"why":"frame 3 decodes to another picture"}`)
	case "busy":
		write(`{"profile":"busy","usable":false,"why":"OpenEncodeSessionEx failed","failure":"busy"}`)
	case "choosy":
		write(`{"profile":"choosy","usable":false,"why":"no CBR","failure":"broken"}`)
	case "choosy1", "busy1":
		return 3
	case "choosy2":
		write(`{"profile":"choosy","variant":2,"usable":true}`)
	case "poor1":
		write(`{"profile":"poor","variant":2,"usable":true}`)
	case "silent":
		write(`{"profile":"silent","usable":false}`)
	case "wrong":
		write(`{"profile":"good","usable":true}`)
	case "rubbish":
		write("libva info: VA-API version 1.17.0\n{}")
	case "twice":
		write(`{"profile":"twice","usable":true}{"profile":"twice","usable":true}`)
	case "flood":
		for range 100 {
			write(strings.Repeat(" ", 1<<10))
		}
		write(`{"profile":"flood","usable":true}`)
	case "exits":
		fmt.Fprintln(os.Stderr, "first line")
		fmt.Fprintln(os.Stderr, "driver: no such device")
		return 3
	case "crashes":
		fmt.Fprintln(os.Stderr, "about to touch the driver")
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Kill()
		}
		select {}
	case "segfaults":
		fmt.Fprintln(os.Stderr, "SIGSEGV: segmentation violation\nPC=0x7f m=0 sigcode=0\n\ngs     0x0")
		return 2
	case "hangs":
		fmt.Fprintln(os.Stderr, "waiting for the driver")
		<-time.After(time.Minute) // far beyond the deadline, but finite
	}
	return 0
}

func command(p encode.Profile) []string {
	name := p.Name
	if p.Variant > 0 {
		name = fmt.Sprint(name, p.Variant)
	}
	return []string{os.Args[0], "prove", name}
}

func TestProverTellsWhatBecameOfEachProcess(t *testing.T) {
	for _, test := range []struct {
		behaviour string
		why       []string // all of these are in the reason; none when it is usable
	}{
		{"good", nil},
		{"poor", []string{"frame 3 decodes to another picture"}},
		{"busy", []string{"OpenEncodeSessionEx failed"}},
		{"silent", []string{"no reason"}},
		{"wrong", []string{`answered for "good"`}},
		{"rubbish", []string{"no proof", "invalid character"}},
		{"twice", []string{"no proof", "more than one"}},
		{"flood", []string{"no proof"}},
		{"exits", []string{"exit status 3", "(driver: no such device)"}},
		{"segfaults", []string{"exit status 2", "SIGSEGV: segmentation violation"}},
		{"crashes", []string{"signal: killed", "(about to touch the driver)"}},
	} {
		t.Run(test.behaviour, func(t *testing.T) {
			t.Parallel() // each process takes a second to end under the race detector
			p := encode.NewProver(encode.ProverConfig{Command: command, Deadline: time.Minute})
			got := p.Prove(t.Context(), []encode.Profile{{Name: test.behaviour}})[0]
			if got.Proof.Profile != test.behaviour || got.Profile.Name != test.behaviour {
				t.Errorf("got names %q, %q; want %q", got.Profile.Name, got.Proof.Profile, test.behaviour)
			}
			if got.Proof.Usable != (test.why == nil) || (got.Proof.Why == "") != (test.why == nil) {
				t.Errorf("got usable %v, why %q", got.Proof.Usable, got.Proof.Why)
			}
			want := encode.FailureBroken
			switch test.behaviour {
			case "good":
				want = ""
			case "busy":
				want = encode.FailureBusy
			}
			if got.Proof.Failure != want {
				t.Errorf("the failure is %q; want %q", got.Proof.Failure, want)
			}
			for _, want := range test.why {
				if !strings.Contains(got.Proof.Why, want) {
					t.Errorf("got why %q; want it to contain %q", got.Proof.Why, want)
				}
			}
		})
	}
}

func TestProverEndsAProcessThatHangs(t *testing.T) {
	p := encode.NewProver(encode.ProverConfig{Command: command, Deadline: 500 * time.Millisecond})
	got := p.Prove(t.Context(), []encode.Profile{{Name: "hangs"}})[0].Proof
	if got.Usable || !strings.Contains(got.Why, "did not finish within 500ms") || got.Failure != encode.FailureTimeout {
		t.Errorf("got %+v; want it refused for its deadline", got)
	}
}

func TestProverGoesOnAfterAFailureAndKeepsTheOrder(t *testing.T) {
	p := encode.NewProver(encode.ProverConfig{Command: command, Deadline: time.Minute})
	got := p.Prove(
		t.Context(),
		[]encode.Profile{
			{Name: "crashes", Format: encode.H264},
			{Name: "exits", Format: encode.H264},
			{
				Name: "good", Format: encode.H264,
				Limits: encode.Limits{Min: image.Pt(128, 128), Max: image.Pt(8192, 8192)},
			},
		},
	)
	if len(got) != 3 || got[0].Proof.Usable || got[1].Proof.Usable || !got[2].Proof.Usable {
		t.Fatalf("got %+v; want the third usable only", got)
	}
	if proof := got[2].Proof; proof.FirstFrame != 2*time.Millisecond || proof.MeanEncode != time.Millisecond ||
		proof.PerMegapixel != 4*time.Millisecond ||
		proof.PSNR != 41.5 {
		t.Errorf("got %+v; want the process's figures", proof)
	}
	if want := (encode.Limits{Min: image.Pt(128, 128), Max: image.Pt(4096, 2304)}); got[2].Profile.Limits != want {
		t.Errorf("got limits %v; want what the device said in place of the profile's, %v", got[2].Profile.Limits, want)
	}
	best, ok := encode.Best(got, encode.H264)
	if !ok || best.Profile.Name != "good" {
		t.Errorf("got %q, %v; want good", best.Profile.Name, ok)
	}
	if best, ok := encode.Best(got, encode.VP9); ok {
		t.Errorf("got %s as the best one of another codec", best.Profile.Name)
	}
	if _, ok := encode.Best(got[:2], encode.H264); ok {
		t.Error("got a best one of none that is usable")
	}
}

func TestProverStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := encode.NewProver(encode.ProverConfig{Command: command})
	got := p.Prove(ctx, []encode.Profile{{Name: "good"}})
	if len(got) != 1 || got[0].Proof.Usable || got[0].Proof.Why == "" {
		t.Errorf("got %+v; want one candidate that is not usable, with a reason", got)
	}
}

func TestProverSaysThatTheProgramIsMissing(t *testing.T) {
	p := encode.NewProver(encode.ProverConfig{
		Command: func(encode.Profile) []string { return []string{"/does/not/exist"} },
	})
	got := p.Prove(t.Context(), []encode.Profile{{Name: "good"}})[0].Proof
	if got.Usable || !strings.Contains(got.Why, "/does/not/exist") {
		t.Errorf("got %+v; want the missing program named", got)
	}
}

// A known proof of a variant that exists spares the trial.
func TestProverReliesOnKnownProofs(t *testing.T) {
	known := encode.Limits{Max: image.Pt(99, 99)}
	proofs := map[string]encode.Proof{
		"known":   {Profile: "known", Variant: 1, Usable: true, Price: new(encode.Price), Limits: known},
		"missing": {Profile: "missing", Why: "no device", Failure: encode.FailureMissing},
		"variant": {Profile: "variant", Variant: 2, Usable: true},
		"other":   {Profile: "known", Usable: true},
	}
	tried := make(map[string]bool)
	p := encode.NewProver(encode.ProverConfig{
		Command: func(p encode.Profile) []string {
			tried[p.Name] = true
			return []string{"/does/not/exist"}
		},
		Known: func(p encode.Profile) (encode.Proof, bool) {
			proof, ok := proofs[p.Name]
			return proof, ok
		},
	})
	variants := make([]encode.Variant, 2)
	for _, name := range []string{"known", "missing", "variant", "other", "unknown"} {
		got := p.Prove(t.Context(), []encode.Profile{{Name: name, Price: encode.PriceReopen, Variants: variants}})[0]
		sure := name == "known"
		if got.Proof.Usable != sure || tried[name] == (sure || name == "missing") {
			t.Errorf("%s: usable %v, tried %v", name, got.Proof.Usable, tried[name])
		}
		if sure && (got.Profile.Variant != 1 || got.Profile.Price != encode.PriceFree ||
			got.Profile.Limits != known) {
			t.Errorf("%s is %+v; want what its proof says", name, got.Profile)
		}
	}
}

// Nothing disturbs the trial of a device. Encoders on the processor are tried at once.
func TestProverTriesDevicesAlone(t *testing.T) {
	var lock sync.Mutex
	var begun []string
	var software sync.WaitGroup
	software.Add(2)
	p := encode.NewProver(encode.ProverConfig{Deadline: time.Minute, Command: func(p encode.Profile) []string {
		lock.Lock()
		begun = append(begun, p.Name)
		lock.Unlock()
		if !p.Hardware {
			software.Done()
			software.Wait() // for the other one
		}
		return []string{os.Args[0], "prove", "good"}
	}})
	profiles := []encode.Profile{
		{Name: "one"}, {Name: "card", Hardware: true}, {Name: "two"}, {Name: "good", Hardware: true},
	}
	got := p.Prove(t.Context(), profiles)
	for i, c := range got {
		if c.Profile.Name != profiles[i].Name || c.Proof.Usable != (c.Profile.Name == "good") {
			t.Errorf("candidate %d is %+v; want %s", i, c, profiles[i].Name)
		}
	}
	if !slices.Equal(begun[:2], []string{"card", "good"}) {
		t.Errorf("tried in the order %q; want the devices first", begun)
	}
}

func TestProverTakesTheFirstVariantThatWorks(t *testing.T) {
	p := encode.NewProver(encode.ProverConfig{Command: command, Deadline: time.Minute})
	option := func(mode string) []encode.Option {
		return []encode.Option{{Name: "rc_mode", Value: mode, Why: "a test"}}
	}
	variants := []encode.Variant{{Options: option("CBR")}, {Options: option("VBR")}, {Options: option("CBR"), Buffer: 60}}
	for _, c := range []struct {
		name    string
		variant int
		buffer  int
		failure encode.Failure
		why     string
	}{
		{"good", 0, 0, "", ""},
		{"choosy", 2, 60, "", ""},
		{"busy", 0, 0, encode.FailureBusy, "OpenEncodeSessionEx failed"}, // no other variant is tried
		{"poor", 0, 0, encode.FailureBroken, "frame 3 decodes to another picture"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := p.Prove(t.Context(), []encode.Profile{{Name: c.name, Variants: variants}})[0]
			if got.Proof.Usable != (c.failure == "") || got.Proof.Failure != c.failure || got.Proof.Why != c.why {
				t.Errorf("got %+v; want failure %q, %q", got.Proof, c.failure, c.why)
			}
			mode := got.Profile.Option("rc_mode")
			if got.Profile.Variant != c.variant || got.Profile.Buffer != c.buffer ||
				mode != variants[c.variant].Options[0].Value || len(got.Profile.Options) != 1 {
				t.Errorf("got variant %d: %+v; want %d", got.Profile.Variant, got.Profile.Options, c.variant)
			}
		})
	}
}
