// Package desktop keeps virtual displays and their programs in a process of their own, which outlives the daemon. A
// restart, an upgrade or a crash of the daemon ends neither the displays nor what people do on them.
//
// The process is a Supervisor. It listens on a Unix socket, and starts each display for the first daemon that attaches
// to it. With systemd the socket belongs to a socket unit, so the supervisor and all programs are in a service and a
// control group of their own. An unprivileged daemon needs no permission to start that service: it only connects.
// Elsewhere the daemon starts the supervisor as a process that does not end with it.
//
// The socket is the only record of running displays. It cannot be stale: where nothing listens, no display runs.
//
// Protocol: the client sends one request as a line of JSON, and gets one answer as a line of JSON. A daemon keeps a
// connection open for each display that it uses. The supervisor knows by its end that the daemon is gone, and releases
// the keys that the daemon held. Without a daemon, the display continues for the time that its last daemon set. The
// version changes only with changes that old supervisors do not understand: a supervisor may be older than the daemon.
// Version 2 names displays. Requests that an old supervisor answers correctly have version 1.
package desktop

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// protocol is the version of the protocol, and unnamed the version of requests that name no display.
	protocol, unnamed = 2, 1
	// maxLine bounds a request and an answer.
	maxLine = 1 << 16
	// talkTime bounds the wait for a request, and for an answer that starts nothing.
	talkTime = 5 * time.Second
	// startTime bounds the wait for a display that is started.
	startTime = 15 * time.Second
)

// Usual is the ID of the usual virtual display.
const Usual = "virtual"

// Forever is the time of a desktop that has no time limit.
const Forever time.Duration = -1

// The requests of a client.
const (
	opAttach = "attach" // use the display, and start it if there is none
	opFind   = "find"   // use the display if there is one
	opStatus = "status" // describe the display
	opEnd    = "end"    // end one display, or all; the connection closes when they have ended
	opKeep   = "keep"   // of an attached daemon: another time for which the display continues without one
)

// request is the request of a client.
type request struct {
	Version int    `json:"version"`
	Op      string `json:"op"`
	// Display is the ID of a display. It is empty for the usual one, and of a request to end all.
	Display string `json:"display,omitempty"`
	// Programs are the programs of a new display, each with its arguments; none for the usual ones.
	Programs [][]string `json:"programs,omitempty"`
	// Fresh asks for an unused display: a running one is started anew. It must have no daemon.
	Fresh bool `json:"fresh,omitempty"`
	// List asks for all displays.
	List bool `json:"list,omitempty"`
	// Width and Height are the size of a new display.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
	// Keep is the time for which the display continues without a daemon. It is negative for no limit.
	Keep time.Duration `json:"keep,omitempty"`
}

// id returns the ID of the display.
func (r request) id() string { return cmp.Or(r.Display, Usual) }

// answer describes the display.
type answer struct {
	Error   string `json:"error,omitempty"`
	Running bool   `json:"running"`
	// InUse says that the error is that another daemon uses the display.
	InUse bool `json:"in_use,omitempty"`
	Status
	// Cookie is the secret of the display's clients.
	Cookie []byte `json:"cookie,omitempty"`
	// List has all running displays. Old supervisors send none, and have the usual one only.
	List []Status `json:"list,omitempty"`
}

// Status describes a running virtual display.
type Status struct {
	// ID is the ID of the display, such as "virtual:desk-1".
	ID string `json:"id"`
	// Display is its address, such as ":90", and Authority the path of its authority file.
	Display   string `json:"display"`
	Authority string `json:"authority"`
	Width     int    `json:"width"`
	Height    int    `json:"height"`
	// Supervisor is the process ID of its supervisor. Started is the time of its start.
	Supervisor int       `json:"supervisor"`
	Started    time.Time `json:"started"`
	// Daemons is the number of attached daemons.
	Daemons int `json:"daemons"`
	// Missing lists the configured programs that are not installed.
	Missing []string `json:"missing,omitempty"`
}

// ErrNone means that no virtual display runs, or not the one in question.
var ErrNone = errors.New("desktop: no virtual display runs")

// errInUse means that another daemon uses a display, so it is not started anew.
var errInUse = errors.New("desktop: another daemon uses the virtual display")

// send writes a message as a line.
func send(c net.Conn, message any) error {
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if err := c.SetWriteDeadline(time.Now().Add(talkTime)); err != nil {
		return err
	}
	_, err = c.Write(append(line, '\n'))
	return err
}

// within bounds the following reads.
func within(c net.Conn, limit time.Duration) error { return c.SetReadDeadline(time.Now().Add(limit)) }

// receive reads a message, byte by byte up to the end of its line, so that nothing after it is lost.
func receive(c net.Conn, message any) error {
	var line []byte
	for one := make([]byte, 1); ; {
		if _, err := c.Read(one); err != nil {
			return err
		}
		if one[0] == '\n' {
			break
		}
		if line = append(line, one[0]); len(line) > maxLine {
			return fmt.Errorf("desktop: a message is longer than %d bytes", maxLine)
		}
	}
	return json.Unmarshal(line, message)
}
