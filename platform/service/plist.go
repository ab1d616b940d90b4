package service

import (
	"bytes"

	"howett.net/plist"
)

// job is the used part of launchd.plist(5).
type job struct {
	Label            string   `plist:"Label"`
	ProgramArguments []string `plist:"ProgramArguments"`
	// RunAtLoad starts it with the session. KeepAlive restarts it after a failure, but not after a clean end.
	RunAtLoad bool      `plist:"RunAtLoad"`
	KeepAlive keepAlive `plist:"KeepAlive"`
	// ThrottleInterval is the least time between two starts, in seconds.
	ThrottleInterval int `plist:"ThrottleInterval"`
	// ExitTimeOut is the time that launchd waits after SIGTERM, in seconds.
	ExitTimeOut int `plist:"ExitTimeOut"`
	// LimitLoadToSessionType: only a process of the graphical session reaches the window server. So this is an agent and
	// not a system daemon.
	LimitLoadToSessionType string `plist:"LimitLoadToSessionType"`
	// ProcessType Interactive keeps the system from slowing it down like background work.
	ProcessType       string `plist:"ProcessType"`
	Umask             int    `plist:"Umask"`
	StandardErrorPath string `plist:"StandardErrorPath,omitempty"`
}

type keepAlive struct {
	SuccessfulExit bool `plist:"SuccessfulExit"`
}

// Plist returns the launchd property list of s. It is an agent, because screen capture must run in the session of the
// screen.
func Plist(s Spec) ([]byte, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	s = s.WithDefaults()
	var b bytes.Buffer
	enc := plist.NewEncoderForFormat(&b, plist.XMLFormat)
	enc.Indent("\t")
	err := enc.Encode(job{
		Label: s.Label, ProgramArguments: s.args(), RunAtLoad: true, ThrottleInterval: 5,
		ExitTimeOut: int(s.StopTimeout.Seconds()), LimitLoadToSessionType: "Aqua", ProcessType: "Interactive",
		Umask: 0o077, StandardErrorPath: s.LogPath,
	})
	if err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
