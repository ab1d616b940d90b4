package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/cmd/wavry-host/config"
	"wavryhost/encode"
)

// Trials that did not finish are repeated until they do, ever more seldom, and no others.
func TestUnfinishedTrialsAreRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := func(name string, proof encode.Proof) encode.Candidate {
			proof.Profile = name
			return encode.Candidate{Profile: encode.Profile{Name: name}, Proof: proof}
		}
		fine, hung := encode.Proof{Usable: true}, encode.Proof{Failure: encode.FailureTimeout}
		began := time.Now()
		type trial struct {
			at  time.Duration
			all bool // no result was known
		}
		var trials []trial
		var set []encode.Candidate
		p := newProber(&loaded{Loaded: &config.Loaded{}}, []encode.Candidate{
			result("libx264", hung), result("libvpx-vp9", fine), result("h264_nvenc", encode.Proof{
				Failure: encode.FailureBroken,
			}),
		}, func() {}, slog.New(slog.DiscardHandler))
		p.set = func(c []encode.Candidate) { set = c }
		p.try = func(
			_ context.Context, _ *config.Config, known func(encode.Profile) (encode.Proof, bool),
		) ([]encode.Candidate, error) {
			trials = append(trials, trial{time.Since(began), known == nil})
			if len(trials) == 2 {
				return nil, errors.New("no program")
			}
			var all []encode.Candidate
			for _, c := range p.last {
				proof, ok := fine, false
				if known != nil {
					proof, ok = known(c.Profile)
				}
				if known != nil && ok != (c.Profile.Name != "libx264") {
					t.Errorf("%s: known %v", c.Profile.Name, ok)
				}
				if !ok && len(trials) < 4 {
					proof = hung
				} else if !ok {
					proof = fine
				}
				all = append(all, result(c.Profile.Name, proof))
			}
			return all, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.run(ctx) }()
		time.Sleep(time.Hour)
		p.ask()
		time.Sleep(time.Hour)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		const s = time.Second
		want := []trial{{15 * s, false}, {45 * s, false}, {105 * s, false}, {225 * s, false}, {time.Hour, true}}
		if !slices.Equal(trials, want) {
			t.Errorf("trials at %v; want %v", trials, want)
		}
		if len(set) != 3 || len(unfinished(set)) != 0 {
			t.Errorf("the encoders are %+v", set)
		}
	})
}
