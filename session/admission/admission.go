// Package admission decides what a host has room for. It is pure: figures and times come in with each call, and
// nothing is started.
//
// Admitter answers whether there is room for a session; Host is the arithmetic that it uses. Share divides an uplink
// between sessions, and Shedder says which to lower when the host saturates in spite of all.
package admission

import (
	"fmt"
	"math"
)

// Resource is what can be short. The set is closed.
type Resource string

// The resources.
const (
	// Sessions is the configured limit on sessions.
	Sessions Resource = "sessions"
	// CPU is processor time: of the machine, or of the control group that the daemon runs in.
	CPU Resource = "cpu"
	// EncodeTime is that an encoder alone does not keep up with the profile, however idle the host is.
	EncodeTime Resource = "encode_time"
	// Memory is main memory, of the machine or the control group.
	Memory Resource = "memory"
	// Uplink is the configured uplink.
	Uplink Resource = "uplink"
	// Encoders is the number of concurrent encodings on hardware.
	Encoders Resource = "encoder_sessions"
	// GPU is the time of the graphics card's encoder, and GPUMemory the card's memory.
	GPU       Resource = "gpu"
	GPUMemory Resource = "gpu_memory"
	// DisplayViewers is the limit on the sessions of a display.
	DisplayViewers Resource = "display"
	// Handshakes is the limit on sessions that are connecting: a host that comes back has all its viewers come at
	// once.
	Handshakes Resource = "handshakes"
	// PerOwner is the limit on the sessions of one owner.
	PerOwner Resource = "owner"
)

// Resources lists all resources.
func Resources() []Resource {
	return []Resource{
		Sessions, CPU, EncodeTime, Memory, Uplink, Encoders, GPU, GPUMemory, DisplayViewers, Handshakes, PerOwner,
	}
}

// Profile is what a session is to look like.
type Profile struct {
	Width, Height int // pixels
	FPS           int
	// BitsPerSecond is what it sends on average.
	BitsPerSecond int
}

func (p Profile) String() string { return fmt.Sprintf("%dx%d@%d", p.Width, p.Height, p.FPS) }

// bitsPerPixel is the bitrate that is assumed for a picture of unknown content, as a moving desktop has it. A terminal
// that scrolls takes 0.02 to 0.05 (BenchmarkMemory), one full of random letters 0.15 (BenchmarkViewers): text that
// moves all the time, over a part of the screen, is between them.
const bitsPerPixel = 0.08

// NewProfile returns a profile with the bitrate of a moving desktop.
func NewProfile(width, height, fps int) Profile {
	return Profile{width, height, fps, int(bitsPerPixel * float64(width*height*fps))}
}

func (p Profile) pixelRate() float64 { return float64(p.Width) * float64(p.Height) * float64(p.FPS) }

// Profiles lists the usual profiles, the largest first. Their bitrates fit a moving desktop.
func Profiles() []Profile {
	return []Profile{
		{3840, 2160, 60, 25e6},
		{2560, 1440, 60, 15e6},
		{1920, 1080, 60, 9e6},
		{1920, 1080, 30, 6e6},
		{1280, 720, 60, 5e6},
		{1280, 720, 30, 3e6},
		{640, 360, 30, 1e6},
	}
}

// What a host keeps back.
const (
	// fullCPU is the part of the cores that may be in use: above it the scheduler makes frames late though none is
	// lost.
	fullCPU = 0.85
	// fullEncode is the part of a frame's time that its encoding may take, so that a large picture is not late.
	fullEncode = 0.8
	// fullGPU is the part of the time that the graphics card's encoder may be at work: above it pictures wait for each
	// other.
	fullGPU = 0.87
	// leastFPS is the frame rate that an encoder must reach for a session to be usable: the controller lowers the rate
	// of an encoder that does not keep up with more.
	leastFPS = 10
	// saturated is the part of the cores in use from which on another viewer of an encode is too much, if pictures are
	// late.
	saturated = 0.97
	// fullUplink leaves room for repairs, probes and audio.
	fullUplink = 0.9
	// leastMemory stays free, in bytes: the page cache of the desktop's programs lives there.
	leastMemory = 256 << 20
	// memoryPerPixel and memoryPerSession are what an encode and a session hold, in bytes: reference pictures,
	// captured frames and their conversion; a peer connection with its flight recorder. BenchmarkMemory of
	// cmd/wavry-host/endtoend finds 31 bytes a pixel at 1280x720 and 43 at 1920x1080, and up to 70 with the heap that
	// waits for collection; 3.4 to 5.7 MB a session within 12 s, to which the recorder adds up to 2.7 MB.
	memoryPerPixel, memoryPerSession = 64, 8 << 20
	// viewerPerBit is what a viewer costs in addition to the encode, in cores for each bit/s: BenchmarkViewers finds
	// 1.06 % of a core at 4.05 Mbit/s, which is 0.0026e-6 (docs/develop/benchmarks.md). A third more is for machines
	// that are busier than that one was.
	viewerPerBit = 0.0035e-6
	// feedPerPixel is what it takes to capture a pixel and to convert it for an encoder in hardware, in seconds of a
	// core: 0.77 ms for a picture of 1920x1080 (docs/develop/benchmarks.md). The time of an encoder on the processor
	// has most of it.
	feedPerPixel = 0.4e-9
	// gpuPerPixel is what an encode holds of the graphics card's memory, in bytes: sixteen pictures of 1.5 bytes a
	// pixel, which are more than the encoders here have in flight, with references. It is reckoned, not measured.
	// leastGPUMemory stays free, for the drivers' own and the desktop.
	gpuPerPixel    = 24
	leastGPUMemory = 256 << 20
)

// Host is what is known of the machine at one moment. Zero limits hold nothing down.
type Host struct {
	Sessions, SessionLimit int
	// Cores is how many may be used, and CoresUsed how many are, by whatever runs there; both 0 where that is not
	// known.
	Cores, CoresUsed float64
	// Promised are the cores that sessions will use that were admitted so lately that CoresUsed does not show them.
	Promised float64
	// MemoryFree is in bytes, 0 where it is not known.
	MemoryFree int64
	// Uplink and UplinkUsed are in bits per second; an Uplink of 0 is not limited.
	Uplink, UplinkUsed int
	// Encodes is the number that runs on the best encoder, EncodeLimit the number that it can run, 0 for any number.
	Encodes, EncodeLimit int
	// Best is the encoder that is used first, and Spare the encoder for what exceeds EncodeLimit, nil for none.
	Best  Encoder
	Spare *Encoder
	// GPU is the card that Best encodes on, nil where it is not known or there is none.
	GPU *Card
	// Late says that pictures take nearly all the time that they have.
	Late bool
}

// Encoder is what is known of an encoder.
type Encoder struct {
	// PerPixel is what converting and encoding takes, in seconds for each pixel; 0 where it is not known. OnCPU says
	// whether that is time of a core.
	PerPixel float64
	OnCPU    bool
	// Threads is how many cores an encode keeps busy meanwhile, at most; 0 for one.
	Threads int
}

// Card is what is known of a graphics card.
type Card struct {
	// Used is the part of the time, from 0 to 1, that its encoder is at work, and Promised what sessions will take of
	// it that were admitted lately.
	Used, Promised float64
	// PerPixel is what an encode takes of its time, in seconds for each pixel; 0 where it is not known.
	PerPixel float64
	// MemoryFree and MemoryTotal are in bytes; a MemoryTotal of 0 is not known.
	MemoryFree, MemoryTotal int64
}

// Verdict is whether a session fits.
type Verdict struct {
	Fits bool
	// Resource is what is short, and Why says so in words.
	Resource Resource
	Why      string
	// Fit is the largest of Profiles that would fit, if OK.
	Fit Profile
	OK  bool
}

// encoder returns the encoder of the next encode, and whether that is the spare one.
func (h Host) encoder() (e Encoder, spare bool) {
	if h.full() && h.Spare != nil {
		return *h.Spare, true
	}
	return h.Best, false
}

// onSpare reports whether the next encode is the spare encoder's.
func (h Host) onSpare() bool {
	_, spare := h.encoder()
	return spare
}

// full reports whether the best encoder does as many encodes as it can.
func (h Host) full() bool { return h.EncodeLimit > 0 && h.Encodes >= h.EncodeLimit }

// Cost returns what a session at p takes, in cores. A session that is shared finds its encode running already.
func (h Host) Cost(p Profile, shared bool) float64 {
	c := viewerPerBit * float64(p.BitsPerSecond)
	switch e, _ := h.encoder(); {
	case shared:
	case e.OnCPU:
		c += float64(max(e.Threads, 1)) * min(e.PerPixel*p.pixelRate(), fullEncode) // then the frame rate is lowered
	default:
		c += feedPerPixel * p.pixelRate()
	}
	return c
}

// cardCost returns what a session at p takes of the time of the graphics card's encoder.
func (h Host) cardCost(p Profile, shared bool) float64 {
	if shared || h.onSpare() || h.GPU == nil {
		return 0
	}
	return min(h.GPU.PerPixel*p.pixelRate(), fullEncode)
}

// Need is the assumed load of a session, until its real load shows in the measurements.
type Need struct {
	// Cores, Bits a second, and Memory in bytes.
	Cores  float64
	Bits   int
	Memory int64
	// Card is the part of the time of the graphics card's encoder, CardMemory the card's memory in bytes.
	Card       float64
	CardMemory int64
	// Encode tells that it begins an encode on the best encoder.
	Encode bool
}

// Need returns what a session at p needs.
func (h Host) Need(p Profile, shared bool) Need {
	n := Need{Cores: h.Cost(p, shared), Bits: p.BitsPerSecond, Memory: memoryPerSession, Card: h.cardCost(p, shared)}
	if shared {
		return n
	}
	n.Memory += memoryPerPixel * int64(p.Width*p.Height)
	if n.Encode = !h.onSpare(); n.Encode && h.GPU != nil {
		n.CardMemory = gpuPerPixel * int64(p.Width*p.Height)
	}
	return n
}

// Promise returns h as it will be once times sessions took what they need. Sessions and Encodes are left to the
// caller.
func (h Host) Promise(n Need, times int) Host {
	h.Promised += float64(times) * n.Cores
	h.UplinkUsed += times * n.Bits
	if h.MemoryFree > 0 {
		h.MemoryFree = max(1, h.MemoryFree-int64(times)*n.Memory)
	}
	if h.GPU != nil {
		c := *h.GPU
		c.Promised += float64(times) * n.Card
		c.MemoryFree -= int64(times) * n.CardMemory
		h.GPU = &c
	}
	return h
}

// limiter takes how many sessions a resource has room for, and words for the case that it has none.
type limiter func(r Resource, left float64, format string, args ...any)

// limits tells limit of each resource that is limited and known, for sessions at p. fps is the frame rate that the
// encoder must reach. All sessions that fit go to the encoder of the next one.
func (h Host) limits(p Profile, shared bool, fps int, limit limiter) {
	if h.SessionLimit > 0 {
		limit(Sessions, float64(h.SessionLimit-h.Sessions), "%d sessions are the limit", h.SessionLimit)
	}
	e, spare := h.encoder()
	if !shared {
		if took := e.PerPixel * float64(p.Width*p.Height); took > 0 {
			left := math.Inf(1)
			if took*float64(fps) > fullEncode {
				left = 0
			}
			limit(EncodeTime, left, "a picture of %v would take %.1f ms to encode; its time is %.1f "+
				"ms", p, took*1e3, 1e3/float64(fps))
		}
		if h.EncodeLimit > 0 && !spare {
			limit(Encoders, float64(h.EncodeLimit-h.Encodes), "the hardware runs %d encodings at most", h.EncodeLimit)
		}
		if h.GPU != nil && !spare {
			h.GPU.limits(limit, h.cardCost(p, shared), p)
		}
	}
	if cost := h.Cost(p, shared); h.Cores > 0 && cost > 0 {
		left := fullCPU*h.Cores - h.CoresUsed - h.Promised
		if shared && !(h.Late && h.CoresUsed > saturated*h.Cores) {
			left = cost * most // what keeps the cores busy does the encode no harm
		}
		limit(CPU, left/cost, "%.2f of %.2f cores are in use, and %v takes %.2f "+
			"more", h.CoresUsed+h.Promised, h.Cores, p, cost)
	}
	if h.MemoryFree > 0 {
		need := float64(memoryPerSession)
		if !shared {
			need += memoryPerPixel * float64(p.Width*p.Height)
		}
		limit(Memory, (float64(h.MemoryFree)-leastMemory)/need, "%d MB of memory are free, of which %d stay "+
			"so", h.MemoryFree>>20, leastMemory>>20)
	}
	if h.Uplink > 0 && p.BitsPerSecond > 0 {
		left := fullUplink*float64(h.Uplink) - float64(h.UplinkUsed)
		limit(Uplink, left/float64(p.BitsPerSecond), "%.1f of %.1f Mbit/s of the uplink are in "+
			"use", float64(h.UplinkUsed)/1e6, float64(h.Uplink)/1e6)
	}
}

// room returns how many sessions at p fit, what limits them, and words for the case that none does. fps is the frame
// rate that the encoder must reach.
func (h Host) room(p Profile, shared bool, fps int) (n float64, short Resource, why string) {
	n = math.Inf(1)
	h.limits(p, shared, fps, func(r Resource, left float64, format string, args ...any) {
		if left < n {
			n, short, why = max(0, left), r, fmt.Sprintf(format, args...)
		}
	})
	if n < 1 && h.onSpare() && !shared && (short == CPU || short == EncodeTime) {
		// On the hardware it would have fitted, or been refused for something else.
		short, why = Encoders, fmt.Sprintf("the hardware runs %d encodings at most, and without it "+
			"%s", h.EncodeLimit, why)
	}
	return n, short, why
}

// leastCard is what an encode is taken to need of a card whose encoder was not measured yet.
const leastCard = 0.01

// limits tells limit what is left of the card.
func (c Card) limits(limit limiter, cost float64, p Profile) {
	cost = max(cost, leastCard)
	limit(GPU, (fullGPU-c.Used-c.Promised)/cost, "the graphics card's encoder is at work for %.0f %% of the "+
		"time, and %v takes %.0f %% more",
		100*(c.Used+c.Promised), p, 100*cost)
	if c.MemoryTotal > 0 {
		limit(GPUMemory, (float64(c.MemoryFree)-leastGPUMemory)/float64(gpuPerPixel*p.Width*p.Height),
			"%d MB of the graphics card's memory are free, of which %d stay so", c.MemoryFree>>20, leastGPUMemory>>20)
	}
}

// Decide reports whether a session at p fits. Where it does not, the verdict says what would, on a display that nobody
// watches. The first session of a host is refused for nothing but what cannot be: a host without sessions that refuses
// them helps nobody, however busy its other programs are.
func (h Host) Decide(p Profile, shared bool) Verdict {
	h = h.lenient()
	n, short, why := h.room(p, shared, min(p.FPS, leastFPS))
	if n >= 1 {
		return Verdict{Fits: true}
	}
	v := Verdict{Resource: short, Why: why}
	for _, q := range Profiles() {
		if q.pixelRate() >= p.pixelRate() {
			continue
		}
		if n, _, _ := h.room(q, false, min(q.FPS, leastFPS)); n >= 1 {
			v.Fit, v.OK = q, true
			break
		}
	}
	return v
}

// lenient returns h without what does not count for the first session.
func (h Host) lenient() Host {
	if h.Sessions == 0 {
		h.Cores, h.MemoryFree, h.Uplink, h.GPU = 0, 0, 0, nil
	}
	return h
}

// most bounds what Capacity tells where nothing is limited.
const most = 10_000

// Capacity returns how many more sessions at p fit at their whole frame rate, each of a display of its own, and what
// limits them. Encoders limits them where the hardware does no more and what does without it is short.
func (h Host) Capacity(p Profile) (n int, by Resource) {
	room, by, _ := h.room(p, false, p.FPS)
	if math.IsInf(room, 1) || room > most {
		return most, by
	}
	n = int(room)
	if by != Encoders || h.Spare == nil || h.full() {
		return n, by
	}
	more, by := h.with(p, n).Capacity(p)
	return min(n+more, most), by
}

// with returns h with n more sessions at p, each of a display of its own.
func (h Host) with(p Profile, n int) Host {
	need := h.Need(p, false)
	h = h.Promise(need, n)
	h.Sessions += n
	if need.Encode {
		h.Encodes += n
	}
	return h
}
