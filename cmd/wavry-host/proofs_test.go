package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"wavryhost/encode"
	"wavryhost/session"
)

// Proofs are relied on after a crash only, of the same program since the same start of the machine, and of software.
func TestProofsAreKeptAcrossACrash(t *testing.T) {
	dir := t.TempDir()
	env, log := []string{"STATE_DIRECTORY=" + dir}, slog.New(slog.DiscardHandler)
	program := ownProgram()
	k := newKeptProofs(env, program, log)
	if k.path == "" {
		t.Skipf("this system has no %s", bootID)
	}
	soft, slow, card := encode.Profile{Name: "soft"}, encode.Profile{Name: "slow"}, encode.Profile{
		Name: "card", Hardware: true,
	}
	proof := encode.Proof{Profile: "soft", Usable: true, PerMegapixel: 7 * time.Millisecond}
	if k.recall(session.ExitKilled) != nil {
		t.Error("without a file, proofs are known")
	}
	missing := encode.Profile{Name: "missing", Hardware: true}
	absent := encode.Proof{Profile: "missing", Why: "no device", Failure: encode.FailureMissing}
	k.keep([]encode.Candidate{
		{Profile: missing, Proof: absent},
		{Profile: soft, Proof: proof},
		{Profile: slow, Proof: encode.Proof{Profile: "slow", Why: "too slow", Failure: encode.FailureBroken}},
		{Profile: card, Proof: encode.Proof{Profile: "card", Usable: true}},
	})
	known := k.recall(session.ExitKilled)
	if known == nil {
		t.Fatal("after a crash, nothing is known")
	}
	if got, ok := known(soft); !ok || got != proof {
		t.Errorf("the proof of software is %+v, %v; want %+v", got, ok, proof)
	}
	if got, ok := known(missing); !ok || got != absent {
		t.Errorf("the proof of a missing device is %+v, %v; want %+v", got, ok, absent)
	}
	for _, p := range []encode.Profile{slow, card, {Name: "soft", Hardware: true}} {
		if got, ok := known(p); ok {
			t.Errorf("the proof of %s is known: %+v", p.Name, got)
		}
	}
	for _, before := range []string{session.ExitClean, session.ExitFailed, session.ExitUnknown} {
		if k.recall(before) != nil {
			t.Errorf("after an end that was %s, proofs are known", before)
		}
	}
	k.keepForStart([]encode.Candidate{{Profile: soft, Proof: proof}})
	for _, before := range session.Exits() {
		if known := k.recall(before); known == nil {
			t.Errorf("after a trial and an end that was %s, nothing is known", before)
		} else if got, ok := known(soft); !ok || got != proof {
			t.Errorf("after a trial, the proof is %+v, %v; want %+v", got, ok, proof)
		}
	}
	other := *k
	other.boot = "another"
	if other.recall(session.ExitKilled) != nil {
		t.Error("after another start of the machine, proofs are known")
	}
	other = *k
	other.program = "another"
	if other.recall(session.ExitKilled) != nil {
		t.Error("for another program, proofs are known")
	}
	if err := os.WriteFile(filepath.Join(dir, "proofs.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if k.recall(session.ExitKilled) != nil {
		t.Error("from a broken file, proofs are known")
	}
	if newKeptProofs(nil, program, log).recall(session.ExitKilled) != nil {
		t.Error("without a state folder, proofs are known")
	}
}
