package lab

import (
	"cmp"
	"slices"

	"wavryhost/session/api/client"
)

// Sample is what was seen at one moment of a run. Delays are in seconds, rates in bit/s.
type Sample struct {
	AtSeconds float64 `json:"at_seconds"`
	// By the host's API. Quality is empty while there is no session.
	Quality       string  `json:"quality"`
	Reason        string  `json:"reason"`
	RTT           float64 `json:"rtt_seconds"`
	HostQueue     float64 `json:"host_queue_seconds"`
	HostLoss      float64 `json:"host_loss"`
	Target        int     `json:"target_bitrate"`
	Achieved      int     `json:"achieved_bitrate"`
	FPS           float64 `json:"fps"`
	session, path string
	// Of the link to the viewer. Queue is the longest wait since the sample before; the counts are since then, too.
	Queue    float64 `json:"queue_seconds"`
	Packets  int     `json:"packets"`
	Dropped  int     `json:"dropped_packets"`
	Bits     float64 `json:"carried_bitrate"`
	Capacity float64 `json:"capacity"`
	// By the browser: pictures shown so far.
	Shown int `json:"shown_pictures"`
}

// Figures sum a run up. They begin with the first picture.
type Figures struct {
	FirstFrameSeconds    float64            `json:"first_frame_seconds"` // from the opening of the page
	WatchedSeconds       float64            `json:"watched_seconds"`
	Shares               map[string]float64 `json:"quality_shares"` // of the time, by state
	LongestFreezeSeconds float64            `json:"longest_freeze_seconds"`
	Freezes              int                `json:"freezes"` // as the browser counts them
	FrozenSeconds        float64            `json:"frozen_seconds"`
	FPS                  float64            `json:"fps"` // shown
	Bitrate              float64            `json:"bitrate"`
	CapacityUsed         float64            `json:"capacity_used"` // share of the link, with all overhead
	RTTSeconds           float64            `json:"rtt_seconds"`   // median
	QueueSeconds         float64            `json:"queue_seconds"` // 95 % of the time
	LongestQueueSeconds  float64            `json:"longest_queue_seconds"`
	Dropped              float64            `json:"dropped_packets"` // share of those to the viewer
	Transitions          int                `json:"transitions"`
	Sessions             int                `json:"sessions"`
	Path                 string             `json:"path"`
	Codec                string             `json:"codec"`
	Encoder              string             `json:"encoder"`
	Width                int                `json:"width"`
	Height               int                `json:"height"`
	NACKs                int                `json:"nacks"`
	KeyframeRequests     int                `json:"keyframe_requests"`
	Load                 float64            `json:"load"` // of the machine, processes per core
}

// good returns the share of time in the state good.
func (f *Figures) good() float64 { return f.Shares[string(client.QualityGood)] }

// usable returns the share of time in the states good and constrained.
func (f *Figures) usable() float64 { return f.good() + f.Shares[string(client.QualityConstrained)] }

// summarize computes the figures of a run from its samples and from the last look at the browser.
func summarize(all []Sample, s seen) (f Figures) {
	f.FirstFrameSeconds = s.First / 1000
	f.Freezes, f.FrozenSeconds, f.NACKs, f.KeyframeRequests = s.Freezes, s.FrozenSeconds, s.NACKs, s.PLIs
	f.Width, f.Height = s.Width, s.Height
	if s.First == 0 {
		return f
	}
	f.WatchedSeconds = (s.Now - s.First) / 1000
	// A picture that still stands at the end counts, too.
	f.LongestFreezeSeconds = max(s.Longest, s.Now-s.Last) / 1000
	if f.WatchedSeconds > 0 {
		f.FPS = float64(s.Shown-1) / f.WatchedSeconds
	}
	watched := slices.DeleteFunc(slices.Clone(all), func(x Sample) bool {
		return x.Quality == "" || x.AtSeconds < f.FirstFrameSeconds
	})
	f.Shares = map[string]float64{}
	sessions := map[string]bool{}
	var rtts, queues []float64
	bits, capacity, packets, dropped := 0.0, 0.0, 0, 0
	for _, x := range watched {
		f.Shares[x.Quality] += 1 / float64(len(watched))
		f.Bitrate += float64(x.Achieved) / float64(len(watched))
		sessions[x.session] = true
		f.Path = cmp.Or(x.path, f.Path)
		rtts, queues = append(rtts, x.RTT), append(queues, x.Queue)
		bits, capacity = bits+x.Bits, capacity+x.Capacity
		packets, dropped = packets+x.Packets, dropped+x.Dropped
	}
	f.Sessions = len(sessions)
	f.RTTSeconds, f.QueueSeconds, f.LongestQueueSeconds = quantile(rtts, .5), quantile(queues, .95), quantile(queues, 1)
	if capacity > 0 {
		f.CapacityUsed = bits / capacity
	}
	if packets > 0 {
		f.Dropped = float64(dropped) / float64(packets)
	}
	return f
}

// quantile returns the value below which a share of the values is, 0 if there are none.
func quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, int(share*float64(len(values))))]
}
