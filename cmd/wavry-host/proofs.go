package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"wavryhost/encode"
	"wavryhost/session"
	"wavryhost/session/api/durable"
)

// keptProofs are the results of the trial of encoders in the state folder. After a crash, or after a trial of the
// program, the next daemon relies on the results for software encoders and for missing encoders. The trials take most
// of its start, so viewers get their picture back sooner. Drivers of devices may be what crashed, so devices are tried
// anew.
type keptProofs struct {
	path string // empty for none
	// boot is the ID of this start of the machine, and program identifies the file of the daemon. Proofs are of both.
	boot, program string
	log           *slog.Logger
}

// proofsFile is the content of the file.
type proofsFile struct {
	Boot    string `json:"boot"`
	Program string `json:"program"`
	// ForStart says that the program made them in a trial, and was not started since.
	ForStart bool           `json:"for_start"`
	Proofs   []encode.Proof `json:"proofs"`
}

// bootID has the ID of the machine's start on Linux.
const bootID = "/proc/sys/kernel/random/boot_id"

// newKeptProofs returns the proofs in the state folder. Nothing is kept without one, or where the machine's start has
// no ID.
func newKeptProofs(env []string, program programFile, log *slog.Logger) *keptProofs {
	k := &keptProofs{log: log}
	boot, err := os.ReadFile(bootID)
	dir := serviceState(env)
	if dir == "" || err != nil || program.info == nil {
		return k
	}
	k.path, k.boot = filepath.Join(dir, "proofs.json"), strings.TrimSpace(string(boot))
	k.program = fmt.Sprintf("%s %d %d", program.path, program.info.Size(), program.info.ModTime().UnixNano())
	return k
}

// recall returns the known proofs for a daemon whose predecessor ended in some way.
func (k *keptProofs) recall(before string) func(encode.Profile) (encode.Proof, bool) {
	if k.path == "" {
		return nil
	}
	durable.Tidy(k.path)
	var f proofsFile
	if err := readStateFile(k.path, &f); err != nil {
		k.log.Warn("proofs of encoders not understood; they are tried anew", "file", k.path, "err", err)
		return nil
	}
	if f.Boot != k.boot || f.Program != k.program || before != session.ExitKilled && !f.ForStart {
		return nil
	}
	known := make(map[string]encode.Proof, len(f.Proofs))
	for _, p := range f.Proofs {
		known[p.Profile] = p
	}
	k.log.Info("encoders known from before the start are not tried", "file", k.path)
	return func(p encode.Profile) (encode.Proof, bool) {
		proof, ok := known[p.Name]
		return proof, ok && lasts(p, proof)
	}
}

// lasts reports whether a result holds for the next daemon, too.
func lasts(p encode.Profile, proof encode.Proof) bool {
	return proof.Usable && !p.Hardware || proof.Failure == encode.FailureMissing
}

// keep keeps the results that last, for the start after a crash.
func (k *keptProofs) keep(candidates []encode.Candidate) { k.write(candidates, false) }

// keepForStart keeps the results of a trial of the program, for its next start.
func (k *keptProofs) keepForStart(candidates []encode.Candidate) { k.write(candidates, true) }

func (k *keptProofs) write(candidates []encode.Candidate, forStart bool) {
	if k.path == "" {
		return
	}
	f := proofsFile{Boot: k.boot, Program: k.program, ForStart: forStart, Proofs: []encode.Proof{}}
	for _, c := range candidates {
		if lasts(c.Profile, c.Proof) {
			f.Proofs = append(f.Proofs, c.Proof)
		}
	}
	if err := writeStateFile(k.path, f); err != nil {
		k.log.Warn("proofs of encoders not kept", "file", k.path, "err", err)
	}
}
