package pipeline

import (
	"time"

	"wavryhost/encode"
)

// LateAfter returns the time in encoding from which on pictures of a frame rate are late.
func LateAfter(fps int) time.Duration {
	return time.Duration(lateShare * float64(time.Second) / float64(max(fps, 1)))
}

// Load is the load of a Pool at one time, and what it means for another user of a format.
type Load struct {
	// Late reports whether the pictures of an encoding take nearly all of their frame time.
	Late bool
	// Encoders are the encoders of the format that are not banned, the preferred one first.
	Encoders []EncoderStatus
	// Paces holds what the encodings show of each encoder, by its name.
	Paces map[string]Pace
	// Displays are the open displays, by ID.
	Displays map[string]DisplayLoad
}

// Pace is what the encodings of one encoder show of it.
type Pace struct {
	// PerPixel is the time to convert and encode a pixel in the slowest of them, in seconds.
	PerPixel float64
	// PixelRate is the number of pixels that all of them encode in a second.
	PixelRate float64
}

// DisplayLoad is the load of one display.
type DisplayLoad struct {
	// Users is the number of its users, connected or not.
	Users int
	// Cores is the load of its encodings, in cores of the machine or, in hardware, of an encoder.
	Cores float64
	// Encodings is the number of its encodings by the preferred encoder of the format. It is 1 if users of the format
	// have not connected yet: they will have one.
	Encodings int
	// Shared reports whether it has users of the format, with whom another user would share an encoding.
	Shared bool
}

// Load returns the load of the pool. The zero Format stands for all formats.
func (s *Pool) Load(now time.Time, format encode.Format) Load {
	l := Load{Encoders: s.encoders.status(now, format)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) > 0 {
		l.Paces, l.Displays = make(map[string]Pace), make(map[string]DisplayLoad)
	}
	for v, p := range s.open {
		one, all := l.add(p, format), l.Displays[v.display]
		l.Displays[v.display] = DisplayLoad{
			Users: all.Users + one.Users, Cores: all.Cores + one.Cores, Encodings: all.Encodings + one.Encodings,
			Shared: all.Shared || one.Shared,
		}
	}
	return l
}

// add adds a pipeline to the load, and returns its own. The caller holds the Pool's mutex.
func (l *Load) add(p *Pipeline, format encode.Format) DisplayLoad {
	d := DisplayLoad{Users: p.use.users, Shared: p.use.formats[format] > 0}
	begun := false
	for _, e := range p.encodings.list {
		st := e.Status()
		if st.Encoder != "" && e.format == format {
			begun = true
			if len(l.Encoders) > 0 && st.Encoder == l.Encoders[0].Profile.Name {
				d.Encodings++
			}
		}
		if !e.forCapture.active.Load() {
			continue
		}
		d.Cores += st.cores()
		l.Late = l.Late || st.Late()
		if pixels := float64(st.Width * st.Height); st.took > 0 && pixels > 0 {
			pace := l.Paces[st.Encoder]
			pace.PerPixel = max(pace.PerPixel, st.took.Seconds()/pixels)
			pace.PixelRate += pixels * float64(st.fps)
			l.Paces[st.Encoder] = pace
		}
	}
	if !begun && d.Shared {
		d.Encodings = 1
	}
	return d
}
