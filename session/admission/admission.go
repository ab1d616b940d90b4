// Package admission decides what a host has room for. It is pure: figures and times come in with each call, and nothing is started.
//
// Admission says whether one more session fits, and if not, which resource is short and what would fit; Share divides an uplink; Relief
// says whom to lower when the host saturates in spite of all.
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
	// Encoders is how many encodes the hardware does at a time.
	Encoders Resource = "encoder_sessions"
)

// Resources lists all resources.
func Resources() []Resource { return []Resource{Sessions, CPU, EncodeTime, Memory, Uplink, Encoders} }

// Profile is what a session is to look like.
type Profile struct {
	Width, Height int // pixels
	FPS           int
	// BitsPerSecond is what it sends on average.
	BitsPerSecond int
}

func (p Profile) String() string { return fmt.Sprintf("%dx%d@%d", p.Width, p.Height, p.FPS) }

func (p Profile) pixelRate() float64 { return float64(p.Width) * float64(p.Height) * float64(p.FPS) }

// Profiles lists the usual profiles, the largest first. Their bitrates are those of a moving desktop.
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
	// fullCPU is the part of the cores that may be in use: above it the scheduler makes frames late though none is lost.
	fullCPU = 0.85
	// fullEncode is the part of a frame's time that its encoding may take, so that a large picture is not late.
	fullEncode = 0.8
	// leastFPS is the frame rate that an encoder has to keep up with for a session to be of use: the controller lowers the rate of one that
	// does not keep up with more.
	leastFPS = 10
	// saturated is the part of the cores in use from which on another viewer of an encode is too much, if pictures are late.
	saturated = 0.97
	// fullUplink leaves room for repairs, probes and audio.
	fullUplink = 0.9
	// leastMemory stays free, in bytes: the page cache of the desktop's programs lives there.
	leastMemory = 256 << 20
	// memoryPerPixel and memoryPerSession are what an encode and a session hold, in bytes: reference pictures, captured frames and their
	// conversion; a peer connection with its flight recorder.
	memoryPerPixel, memoryPerSession = 64, 8 << 20
	// viewerPerBit is what a viewer costs beside the encode, in cores for each bit/s: 1.1 % of a core at 4 Mbit/s (docs/benchmarks.md),
	// and a quarter more for machines that are busier than that one was.
	viewerPerBit = 0.0035e-6
)

// Host is what is known of the machine at one moment. Zero limits hold nothing down.
type Host struct {
	Sessions, SessionLimit int
	// Cores is how many may be used, and CoresUsed how many are, by whatever runs there; both 0 where that is not known.
	Cores, CoresUsed float64
	// Promised are the cores that sessions will use that were admitted so lately that CoresUsed does not show them.
	Promised float64
	// MemoryFree is in bytes, 0 where it is not known.
	MemoryFree int64
	// Uplink and UplinkUsed are in bits per second; an Uplink of 0 is not limited.
	Uplink, UplinkUsed int
	// Encodes are those that run on the best encoder, EncodeLimit how many it does at a time, 0 for any number.
	Encodes, EncodeLimit int
	// PerPixel is what converting and encoding takes, in seconds for each pixel; 0 where it is not known. OnCPU says whether that is time of a core.
	PerPixel float64
	OnCPU    bool
	// Threads is how many cores an encode keeps busy meanwhile, at most; 0 for one.
	Threads int
	// Late says that pictures take nearly all the time that they have.
	Late bool
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

// Cost returns what a session at p takes, in cores. A session that is shared finds its encode running already.
func (h Host) Cost(p Profile, shared bool) float64 {
	c := viewerPerBit * float64(p.BitsPerSecond)
	if !shared && h.OnCPU {
		c += float64(max(h.Threads, 1)) * min(h.PerPixel*p.pixelRate(), fullEncode) // then the frame rate is lowered
	}
	return c
}

// room returns how many sessions at p fit, what limits them, and words for the case that none does. fps is the frame rate that the encoder has to keep up with.
func (h Host) room(p Profile, shared bool, fps int) (n float64, short Resource, why string) {
	n = math.Inf(1)
	limit := func(r Resource, left float64, format string, args ...any) {
		if left < n {
			n, short, why = max(0, left), r, fmt.Sprintf(format, args...)
		}
	}
	if h.SessionLimit > 0 {
		limit(Sessions, float64(h.SessionLimit-h.Sessions), "%d sessions are the limit", h.SessionLimit)
	}
	if !shared {
		if took := h.PerPixel * float64(p.Width*p.Height); took*float64(fps) > fullEncode {
			limit(EncodeTime, 0, "a picture of %v would take %.1f ms to encode; its time is %.1f ms", p, took*1e3, 1e3/float64(fps))
		}
		if h.EncodeLimit > 0 {
			limit(Encoders, float64(h.EncodeLimit-h.Encodes), "the hardware does %d encodes at a time", h.EncodeLimit)
		}
	}
	if cost := h.Cost(p, shared); h.Cores > 0 && cost > 0 {
		left := fullCPU*h.Cores - h.CoresUsed - h.Promised
		if shared && !(h.Late && h.CoresUsed > saturated*h.Cores) {
			left = cost * most // what keeps the cores busy does the encode no harm
		}
		limit(CPU, left/cost, "%.2f of %.2f cores are in use, and %v takes %.2f more", h.CoresUsed+h.Promised, h.Cores, p, cost)
	}
	if h.MemoryFree > 0 {
		need := float64(memoryPerSession)
		if !shared {
			need += memoryPerPixel * float64(p.Width*p.Height)
		}
		limit(Memory, (float64(h.MemoryFree)-leastMemory)/need, "%d MB of memory are free, of which %d stay so", h.MemoryFree>>20, leastMemory>>20)
	}
	if h.Uplink > 0 && p.BitsPerSecond > 0 {
		left := fullUplink*float64(h.Uplink) - float64(h.UplinkUsed)
		limit(Uplink, left/float64(p.BitsPerSecond), "%.1f of %.1f Mbit/s of the uplink are in use", float64(h.UplinkUsed)/1e6, float64(h.Uplink)/1e6)
	}
	return n, short, why
}

// Decide tells whether a session at p fits. Where it does not, the verdict says what would, on a display that nobody watches. The first session of a host is
// refused for nothing but what cannot be: a host without sessions that refuses them helps nobody, however busy its other programs are.
func (h Host) Decide(p Profile, shared bool) Verdict {
	if h.Sessions == 0 {
		h.Cores, h.MemoryFree, h.Uplink = 0, 0, 0
	}
	fps := min(p.FPS, leastFPS)
	n, short, why := h.room(p, shared, fps)
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

// most bounds what Capacity tells where nothing is limited.
const most = 10_000

// Capacity returns how many more sessions at p fit at their whole frame rate, each of a display of its own, and what limits them.
func (h Host) Capacity(p Profile) (n int, by Resource) {
	room, by, _ := h.room(p, false, p.FPS)
	if math.IsInf(room, 1) || room > most {
		return most, by
	}
	return int(room), by
}
