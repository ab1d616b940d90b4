package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"wavryhost/capture"
	"wavryhost/cmd/wavry-host/config"
	"wavryhost/encode"
	"wavryhost/encode/ffmpeg"
	"wavryhost/platform/child"
	"wavryhost/session"
)

// proofParams are the parameters of the trial of encoders: small and so quick, yet above the least sizes of all
// devices.
var proofParams = encode.Params{Width: 640, Height: 360, FPS: 30, BitsPerSecond: 2_000_000}

// prove tries the encoders that the configuration allows, each in a process of its own, unless their proof is known.
func prove(
	ctx context.Context, cfg *config.Config, known func(encode.Profile) (encode.Proof, bool),
) ([]encode.Candidate, error) {
	program, err := child.Self()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	profiles, err := allowed(cfg)
	if err != nil {
		return nil, err
	}
	prover := encode.NewProver(encode.ProverConfig{Known: known, Command: func(p encode.Profile) []string {
		return append([]string{program, "prove-encoder"}, childArguments(p)...)
	}})
	return prover.Prove(ctx, profiles), nil
}

// allowed returns the profiles that the configuration allows, on their devices.
func allowed(cfg *config.Config) (list []encode.Profile, err error) {
	devices := []string{cfg.Encoding.VAAPIDevice}
	if cfg.Encoding.VAAPIDevice == "" {
		if devices, err = filepath.Glob(renderNodes); err != nil {
			return nil, fmt.Errorf("find graphics devices: %w", err)
		}
	}
	for _, p := range encode.Profiles() {
		on := devices
		if p.DeviceOption != "" {
			on = nvidiaCards()
		}
		if only := cfg.Encoding.Encoder; only == config.Auto || only == p.Name {
			list = append(list, p.On(on)...)
		}
	}
	return list, nil
}

// nvidiaCards returns the numbers of the NVIDIA cards that CUDA shows to this process, or nothing if none is known.
func nvidiaCards() (numbers []string) {
	cards, err := filepath.Glob("/proc/driver/nvidia/gpus/*")
	if err != nil {
		panic(err) // the pattern is constant
	}
	if visible, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES"); ok {
		cards = strings.FieldsFunc(visible, func(r rune) bool { return r == ',' })
	}
	for n := range cards {
		numbers = append(numbers, strconv.Itoa(n))
	}
	return numbers
}

// childArguments returns the arguments of proveCmd for a profile.
func childArguments(p encode.Profile) []string {
	argv := []string{p.Name, "--variant", strconv.Itoa(p.Variant)}
	if p.Device != "" {
		argv = append(argv, "--device", p.Device)
	}
	return argv
}

// renderNodes are the devices on which VAAPI encodes.
const renderNodes = "/dev/dri/renderD*"

// proveCmd is the child process of prove.
type proveCmd struct {
	Profile string `arg:"" help:"Name of the encoder's profile, with the device where there are several."`
	Device  string `name:"device" help:"Device that it encodes on."`
	Variant int    `name:"variant" help:"Number of its variant, from 0."`
}

// Run is called by kong.
func (c *proveCmd) Run(ctx context.Context, a *app) error {
	factory, err := c.factory()
	if err != nil {
		return err
	}
	return writeJSON(a.stdout, ffmpeg.Prove(ctx, factory, proofParams))
}

// factory returns the factory of the encoder to try.
func (c *proveCmd) factory() (encode.Factory, error) {
	profile, ok := encode.FindProfile(encode.Profile{Name: c.Profile}.Encoder())
	if !ok {
		return nil, &coded{exitUsage, fmt.Errorf("no encoder is named %q", c.Profile)}
	}
	profile = profile.In(c.Variant)
	profile.Name, profile.Device = c.Profile, c.Device
	profile.Limits = encode.Limits{} // the device says which sizes it supports
	// FFmpeg's messages about a failure are in the proof.
	return ffmpeg.New(profile, slog.New(slog.DiscardHandler)), nil
}

// factories returns the factories of the usable candidates, best first. If none is usable, it returns all: opening one
// reports what is missing, and the host reports that it is not ready.
func factories(candidates []encode.Candidate, log *slog.Logger) []encode.Factory {
	var usable, all []encode.Factory
	for _, c := range candidates {
		f := ffmpeg.New(c.Profile, log)
		all = append(all, f)
		if c.Proof.Usable {
			usable = append(usable, f)
		}
	}
	if len(usable) == 0 {
		return all
	}
	return usable
}

// encoderInfo returns the candidates as the control API shows them.
func encoderInfo(candidates []encode.Candidate) []session.EncoderInfo {
	var all []session.EncoderInfo
	for _, c := range candidates {
		limits := c.Profile.Limits
		least, most := limits.Least(), limits.Most()
		best, _ := encode.Best(candidates, c.Profile.Format)
		all = append(all, session.EncoderInfo{
			Name: c.Profile.Name, Device: c.Profile.Device, Codec: c.Profile.Format.Codec,
			Hardware: c.Profile.Hardware, Price: c.Profile.Price.String(),
			Surfaces: surfacesOf(c.Profile), Uploads: c.Proof.Uploads, Usable: c.Proof.Usable,
			Why: plain(c), Failure: string(c.Proof.Failure),
			InUse: c.Proof.Usable && c.Profile.Name == best.Profile.Name, PerMegapixel: perMegapixel(c.Proof),
			MinWidth: least.X, MinHeight: least.Y, MaxWidth: most.X, MaxHeight: most.Y,
		})
	}
	return all
}

// surfacesOf returns the kind of graphics memory that an encoder reads, or nothing.
func surfacesOf(p encode.Profile) string {
	if p.Surfaces.Kind == capture.Memory {
		return ""
	}
	return p.Surfaces.Kind.String()
}

// perMegapixel returns the encoding time of a million pixels, in seconds: as measured, else as in the trial, which
// overestimates it.
func perMegapixel(p encode.Proof) float64 {
	if p.PerMegapixel > 0 {
		return p.PerMegapixel.Seconds()
	}
	return p.MeanEncode.Seconds() / float64(proofParams.Width*proofParams.Height) * 1e6
}

// plain returns why a candidate is unusable, without its name and without saying that it is unusable.
func plain(c encode.Candidate) string {
	why := strings.TrimPrefix(c.Proof.Why, c.Profile.Name+": ")
	return strings.TrimSuffix(why, ": "+encode.ErrNoEncoder.Error())
}

type encodersCmd struct {
	JSON     bool         `name:"json" help:"Print JSON."`
	Running  runningFlags `embed:""`
	Settings settingFlags `embed:""`
}

// encoderReport is the machine-readable report of one encoder.
type encoderReport struct {
	session.EncoderInfo
	FirstFrameSeconds float64 `json:"first_frame_seconds,omitempty"`
	MeanEncodeSeconds float64 `json:"mean_encode_seconds,omitempty"`
	PSNR              float64 `json:"psnr_db,omitempty"`
}

// list returns the encoders, from the running daemon or from a trial. Only a trial measures them.
func (c *encodersCmd) list(ctx context.Context, a *app) ([]encoderReport, error) {
	daemon, err := c.Running.daemon(a, c.Settings)
	if err != nil {
		return nil, err
	}
	if daemon != nil {
		infos, err := daemon.encoders(ctx)
		all := []encoderReport{}
		for _, info := range infos {
			all = append(all, encoderReport{EncoderInfo: info})
		}
		return all, err
	}
	l, err := c.Settings.load(a)
	if err != nil {
		return nil, err
	}
	l.warn(a.stderr)
	candidates, err := prove(ctx, &l.Config, nil)
	if err != nil {
		return nil, err
	}
	all := []encoderReport{}
	for i, info := range encoderInfo(candidates) {
		proof := candidates[i].Proof
		all = append(all, encoderReport{info, proof.FirstFrame.Seconds(), proof.MeanEncode.Seconds(), proof.PSNR})
	}
	return all, nil
}

// Run is called by kong.
func (c *encodersCmd) Run(ctx context.Context, a *app) error {
	all, err := c.list(ctx, a)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(a.stdout, all)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	say(w, "ENCODER\tDEVICE\tCODEC\tUSABLE\tRATE CHANGE\tSIZES\tPER FRAME\tREMARKS\n")
	for _, e := range all {
		usable, perFrame, remarks := "no: "+e.Failure, "", e.Why
		if e.Usable {
			usable = "yes"
		}
		if e.MeanEncodeSeconds > 0 && e.Usable {
			perFrame = time.Duration(e.MeanEncodeSeconds * float64(time.Second)).Round(10 * time.Microsecond).String()
		}
		if e.InUse {
			remarks = "the one in use"
		}
		if e.Surfaces != "" {
			remarks = strings.TrimPrefix(remarks+", reads "+e.Surfaces, ", ")
		}
		sizes := fmt.Sprintf("%dx%d to %dx%d", e.MinWidth, e.MinHeight, e.MaxWidth, e.MaxHeight)
		say(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Name, e.Device, e.Codec, usable, e.Price, sizes, perFrame,
			remarks)
	}
	return w.Flush()
}
