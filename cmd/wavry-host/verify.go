package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"wavryhost/encode"
	"wavryhost/encode/ffmpeg"
	"wavryhost/platform/child"
)

// verifyDeadline bounds the verification of one encoder.
const verifyDeadline = 5 * time.Minute

// verifyCmd is "wavry-host verify-encoders".
type verifyCmd struct {
	Output   string       `placeholder:"FILE" help:"File for the report, in Markdown. Default: standard output."`
	Opens    int          `default:"1000" help:"How often to open and close each encoder."`
	Settings settingFlags `embed:""`
}

// Run is called by kong. It fails if an encoder that can be used fails a check.
func (c *verifyCmd) Run(ctx context.Context, a *app) error {
	l, err := c.Settings.load(a)
	if err != nil {
		return err
	}
	l.warn(a.stderr)
	program, err := child.Self()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	b := thisBuild()
	var report strings.Builder
	say(&report, "# Encoders of this host\n\n%s, %s, %d processors, %s\n", b.Version, b.Platform,
		runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly))
	failed := 0
	profiles, err := allowed(&l.Config)
	if err != nil {
		return err
	}
	for _, profile := range profiles {
		sayWithin(lastWords, a.stderr, "verifying %s\n", profile.Name)
		profile, v := c.verify(ctx, program, profile)
		failed += encoderSection(&report, profile, v)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.Output == "" {
		_, err = io.WriteString(a.stdout, report.String())
	} else {
		err = os.WriteFile(c.Output, []byte(report.String()), 0o644) //nolint:gosec // a report to pass on
	}
	if err == nil && failed > 0 {
		err = &coded{exitUnwell, fmt.Errorf("%d checks of encoders failed", failed)}
	}
	return err
}

// verify verifies an encoder, like the trial in the first variant that is usable, or else in the first of all.
func (c *verifyCmd) verify(
	ctx context.Context, program string, profile encode.Profile,
) (encode.Profile, encode.Verification) {
	var first encode.Verification
	for variant := range max(len(profile.Variants), 1) {
		p := profile.In(variant)
		argv := append([]string{program, "verify-encoder", "--opens", strconv.Itoa(c.Opens)}, childArguments(p)...)
		v, err := encode.VerifyInChild(ctx, argv, verifyDeadline)
		if err != nil {
			v.Proof.Why, v.Proof.Failure = err.Error(), encode.FailureOf(err)
		}
		if v.Proof.Usable {
			return p, v
		}
		if variant == 0 {
			first = v
		}
		if !v.Proof.Failure.Faulty() || ctx.Err() != nil {
			break
		}
	}
	return profile.In(0), first
}

// encoderSection writes the part of one encoder, and returns the number of failed checks.
func encoderSection(w io.Writer, profile encode.Profile, v encode.Verification) (failed int) {
	say(w, "\n## %s\n\n", profile.Name)
	p := v.Proof
	if !p.Usable {
		say(w, "Cannot be used: %s\n", plain(encode.Candidate{Profile: profile, Proof: p}))
		return 0
	}
	price := "unknown"
	if p.Price != nil {
		price = p.Price.String()
	}
	say(w, "Works: PSNR %.1f dB, first picture %v, %v a million pixels, rate change %s.\n", p.PSNR,
		p.FirstFrame.Round(time.Millisecond/10), p.PerMegapixel.Round(time.Microsecond), price)
	least, most := p.Limits.Least(), p.Limits.Most()
	say(w, "Variant %d of %d, sizes from %dx%d to %dx%d.\n", profile.Variant+1, max(len(profile.Variants), 1),
		least.X, least.Y, most.X, most.Y)
	if p.Complaint != "" {
		say(w, "\nThe encoder complained: %s\n", p.Complaint)
	}
	say(w, "\n| check | result | detail |\n| --- | --- | --- |\n")
	for _, c := range v.Checks {
		result := "passed"
		switch {
		case c.Failed:
			result = "**failed**"
			failed++
		case c.Skipped:
			result = "skipped"
		}
		say(w, "| %s | %s | %s |\n", c.Name, result, strings.ReplaceAll(c.Detail, "|", "\\|"))
	}
	return failed
}

// verifyOneCmd is the child process of verifyCmd.
type verifyOneCmd struct {
	Opens int `default:"1000" help:"How often to open and close the encoder."`
	proveCmd
}

// Run is called by kong.
func (c *verifyOneCmd) Run(ctx context.Context, a *app) error {
	factory, err := c.factory()
	if err != nil {
		return err
	}
	return writeJSON(a.stdout, ffmpeg.Verify(ctx, factory, proofParams, ffmpeg.VerifyConfig{Opens: c.Opens}))
}
