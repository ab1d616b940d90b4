package session

import "time"

// Totals sums up a session that has ended. It is enough for accounting without the log.
type Totals struct {
	Seconds   float64 `json:"duration_seconds" doc:"Time from the offer to the end, in seconds."`
	Connected float64 `json:"connected_seconds" doc:"Time from the first connection to the end, in seconds."`
	// Quality has one entry for each state that the session had.
	Quality map[string]float64 `json:"quality_seconds" doc:"Time in each quality state while connected, in seconds, by its name."`
	Frozen  float64            `json:"frozen_seconds" doc:"Time in which the display was lost or no encoder worked, in seconds."`

	Frames          uint64 `json:"frames" doc:"Number of sent pictures."`
	FramesDropped   uint64 `json:"frames_dropped" doc:"Number of encoded pictures that were not sent."`
	Bytes           uint64 `json:"bytes" doc:"Sent payload and padding, in bytes."`
	Packets         uint64 `json:"packets" doc:"Number of sent packets."`
	Retransmissions uint64 `json:"retransmissions" doc:"Number of retransmitted packets."`

	Codec          string `json:"codec" set:"Codec" doc:"Codec, by its RTP name."`
	Encoder        string `json:"encoder,omitempty" doc:"Name of the last encoder; absent if there was none."`
	Path           string `json:"path,omitempty" set:"Path" doc:"Last path of the media; absent if there was none."`
	EncoderChanges int    `json:"encoder_changes" doc:"Number of times that another encoder took over."`
	DisplayChanges int    `json:"display_changes" doc:"Number of times that the session showed another display."`
}

// usage counts what a session has used, by looking at it once a second.
type usage struct {
	quality          map[string]time.Duration
	frozen           time.Duration
	display, encoder string // at the last look; empty before
	displays         int
	encoders         int
	path             string
}

// add adds a time in which the viewer was connected, and in the state of v.
func (u *usage) add(took time.Duration, v Snapshot) {
	if u.quality == nil {
		u.quality = make(map[string]time.Duration)
	}
	u.quality[v.Quality] += took
	if v.Frozen {
		u.frozen += took
	}
	if u.display != "" && v.Display != u.display {
		u.displays++
	}
	if u.encoder != "" && v.Encoder != "" && v.Encoder != u.encoder {
		u.encoders++
	}
	u.display = v.Display
	if v.Encoder != "" {
		u.encoder = v.Encoder
	}
	if v.Path != "" {
		u.path = v.Path
	}
}

// totals returns the sums for a session that has ended.
func (u *usage) totals(now time.Time, last Snapshot) *Totals {
	t := &Totals{
		Seconds: now.Sub(last.Created).Seconds(), Quality: make(map[string]float64), Frozen: u.frozen.Seconds(),
		Frames: last.FramesSent, FramesDropped: last.FramesDropped, Bytes: last.BytesSent, Packets: last.PacketsSent,
		Retransmissions: last.Retransmissions, Codec: last.Codec, Encoder: u.encoder, Path: u.path,
		EncoderChanges: u.encoders, DisplayChanges: u.displays,
	}
	if !last.Connected.IsZero() {
		t.Connected = now.Sub(last.Connected).Seconds()
	}
	for state, d := range u.quality {
		t.Quality[state] = d.Seconds()
	}
	return t
}
