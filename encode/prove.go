package encode

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"wavryhost/platform/child"
)

// Proof is the result of trying an encoder with real frames.
type Proof struct {
	// Profile is the profile's name.
	Profile string `json:"profile"`
	// Variant is the profile's variant.
	Variant int `json:"variant,omitempty"`
	// Usable reports whether its output decodes to the right pictures.
	Usable bool `json:"usable"`
	// Why says why it is not usable.
	Why string `json:"why,omitempty"`
	// Failure is the kind of Why.
	Failure Failure `json:"failure,omitempty"`
	// FirstFrame is the time for opening the encoder and encoding the first frame.
	FirstFrame time.Duration `json:"first_frame_ns,omitempty"`
	// MeanEncode is the mean time for converting and encoding a frame after the first.
	MeanEncode time.Duration `json:"mean_encode_ns,omitempty"`
	// PerMegapixel is the time for converting and encoding a million pixels of a moving picture: processor time for
	// software encoders, else the time from the call to the result. It is 0 if it could not be measured.
	PerMegapixel time.Duration `json:"per_megapixel_ns,omitempty"`
	// Price is the measured cost of a rate change, or nil if that was not tried.
	Price *Price `json:"price,omitempty"`
	// Limits are the supported sizes as far as the device said so.
	Limits Limits `json:"limits,omitzero"`
	// Surfaces are the surfaces that it reads without a copy.
	Surfaces Surfaces `json:"surfaces,omitzero"`
	// Uploads says why a device reads none, so that pictures are uploaded to it.
	Uploads string `json:"uploads,omitempty"`
	// Complaint is what the encoder logged as errors about pictures that it made.
	Complaint string `json:"complaint,omitempty"`
	// PSNR is the PSNR of the worst decoded picture, in dB over all three planes.
	PSNR float64 `json:"psnr_db,omitempty"`
}

// Candidate is a profile and the result of its trial.
type Candidate struct {
	Profile Profile
	Proof   Proof
}

// Best returns the first usable candidate of a format. The list is in order of preference, like Profiles.
func Best(candidates []Candidate, format Format) (Candidate, bool) {
	for _, c := range candidates {
		if c.Proof.Usable && c.Profile.Format == format {
			return c, true
		}
	}
	return Candidate{}, false
}

// ProverConfig configures a Prover.
type ProverConfig struct {
	// Command returns the command line of a program that tries the encoder of a profile on its device and in its
	// variant. The program writes the Proof to its standard output as JSON, and exits with 0. Several calls may be made
	// at once.
	Command func(Profile) []string
	// Known returns the proof of a profile that need not be tried; nil for none. Several calls may be made at once.
	Known func(Profile) (Proof, bool)
	// Deadline bounds one program. It defaults to 10 seconds.
	Deadline time.Duration
}

// Prover tries encoders, each in a process of its own. A driver that crashes or hangs affects only that process.
type Prover struct{ cfg ProverConfig }

// NewProver returns a Prover.
func NewProver(cfg ProverConfig) *Prover {
	if cfg.Deadline == 0 {
		cfg.Deadline = 10 * time.Second
	}
	return &Prover{cfg: cfg}
}

// Prove tries the profiles and returns a candidate for each, in the first variant that is usable, or else in the first
// of all. Devices come one after the other, so that none slows another down. Encoders on the processor, whose cost is
// processor time, come afterwards and at once. If ctx ends, the remaining ones are not usable.
func (p *Prover) Prove(ctx context.Context, profiles []Profile) []Candidate {
	candidates := make([]Candidate, len(profiles))
	var software sync.WaitGroup
	for i, profile := range profiles {
		if profile.Hardware {
			candidates[i] = p.candidate(ctx, profile)
		}
	}
	for i, profile := range profiles {
		if !profile.Hardware {
			software.Go(func() { candidates[i] = p.candidate(ctx, profile) }) // unguarded: only what tests hand in can panic
		}
	}
	software.Wait()
	return candidates
}

// candidate tries one profile.
func (p *Prover) candidate(ctx context.Context, profile Profile) Candidate {
	profile, proof := p.variants(ctx, profile)
	if proof.Usable && proof.Price != nil {
		profile.Price = *proof.Price
	}
	if proof.Usable {
		profile.Limits = profile.Limits.With(proof.Limits)
		profile.Surfaces = proof.Surfaces
	}
	return Candidate{Profile: profile, Proof: proof}
}

// variants tries the variants of a profile, unless the result is known. Another variant helps only with an encoder that
// is there and does not work.
func (p *Prover) variants(ctx context.Context, profile Profile) (Profile, Proof) {
	if p.cfg.Known != nil {
		if proof, ok := p.cfg.Known(profile); ok && proof.Profile == profile.Name &&
			proof.Variant >= 0 && proof.Variant < max(len(profile.Variants), 1) {
			return profile.In(proof.Variant), proof
		}
	}
	first := p.one(ctx, profile.In(0))
	for v, proof := 1, first; v < len(profile.Variants) && proof.Failure.Faulty() && ctx.Err() == nil; v++ {
		if proof = p.one(ctx, profile.In(v)); proof.Usable {
			return profile.In(v), proof
		}
	}
	return profile.In(0), first
}

// one tries one variant.
func (p *Prover) one(ctx context.Context, profile Profile) Proof {
	proof, err := p.run(ctx, profile)
	if err != nil {
		proof = Proof{Why: err.Error(), Failure: FailureOf(err)}
	}
	proof.Profile, proof.Variant = profile.Name, profile.Variant
	return proof
}

const (
	maxProof  = 64 << 10 // bytes of a program's output; a proof has some hundred
	maxStderr = 16 << 10
	// maxMemory bounds the memory of a program. The software encoders allocate 0.3 GB for the tried size. The use of
	// graphics drivers was not measured.
	maxMemory = 4 << 30
)

// driverVariables choose drivers and devices. Drivers get no other variables of the daemon, which may contain secrets.
// Without the daemon's path of libraries, a trial would look elsewhere for FFmpeg and the drivers than the daemon does.
var driverVariables = []string{
	"LD_LIBRARY_PATH",
	"LIBVA_DRIVER_NAME",
	"LIBVA_DRIVERS_PATH",
	"CUDA_VISIBLE_DEVICES",
	"CUDA_DEVICE_ORDER",
	"NVIDIA_VISIBLE_DEVICES",
	"NVIDIA_DRIVER_CAPABILITIES",
	"MESA_LOADER_DRIVER_OVERRIDE",
	"DRI_PRIME",
	"XDG_RUNTIME_DIR",
	"XDG_CACHE_HOME",
}

// errUnfinished means that a program did not finish within its deadline.
var errUnfinished = errors.New("did not finish")

func (p *Prover) run(ctx context.Context, profile Profile) (Proof, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.Deadline, fmt.Errorf("%w within %v", errUnfinished, p.cfg.Deadline))
	defer cancel()
	argv := p.cfg.Command(profile)
	stdout, stderr := &child.Output{Max: maxProof}, &child.Output{Max: maxStderr, Last: true}
	err := child.Run(ctx, child.Command{
		Program: argv[0], Args: argv[1:], Keep: driverVariables, Stdout: stdout, Stderr: stderr,
		Limits: child.Limits{Memory: maxMemory, Files: 256, Processor: 12 * p.cfg.Deadline},
	})
	switch {
	case ctx.Err() != nil:
		return Proof{}, withLastLine(context.Cause(ctx), stderr.Bytes())
	case err != nil:
		// An exec.ExitError reads "exit status 1" or "signal: segmentation fault".
		return Proof{}, withLastLine(fmt.Errorf("proving process: %w", err), stderr.Bytes())
	}
	var proof Proof
	if err := decodeProof(stdout.Bytes(), &proof); err != nil {
		return Proof{}, withLastLine(fmt.Errorf("proving process wrote no proof: %w", err), stderr.Bytes())
	}
	if proof.Profile != profile.Name || proof.Variant != profile.Variant {
		return Proof{}, fmt.Errorf("proving process answered for %q, variant %d", proof.Profile, proof.Variant)
	}
	if !proof.Usable && proof.Failure == "" {
		proof.Failure = FailureBroken
	}
	if !proof.Usable && proof.Why == "" {
		return Proof{}, withLastLine(errors.New("proving process gave no reason"), stderr.Bytes())
	}
	return proof, nil
}

// decodeProof accepts exactly one JSON object.
func decodeProof(data []byte, proof *Proof) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(proof); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// crash is the line of a Go program's last words that has the reason. Lines with the registers follow it.
var crash = regexp.MustCompile(`(?m)^(SIG[A-Z]+: .*|fatal error: .*|panic: .*)$`)

// withLastLine adds the line of a program's standard error that has the reason: of a crash, else the last one.
func withLastLine(err error, stderr []byte) error {
	text := strings.TrimSpace(string(stderr))
	if line := crash.FindString(text); line != "" {
		return fmt.Errorf("%w (%s)", err, line)
	}
	if line := text[strings.LastIndexByte(text, '\n')+1:]; line != "" {
		return fmt.Errorf("%w (%s)", err, line)
	}
	return err
}
