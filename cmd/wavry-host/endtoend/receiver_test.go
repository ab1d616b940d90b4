//go:build integration

package endtoend

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"wavryhost/adapt"
	flight "wavryhost/adapt/record"
)

// Receivers that share no code with pion, Chromium or each other: programs in testdata.
const (
	aiortc    = "testdata/aiortc_receiver.py"
	gstreamer = "testdata/gstreamer_receiver.py"
)

// receiver is such a program while it watches.
type receiver struct {
	*process
	input         io.Closer
	columns, rows int
}

// received has a receiver's report of what it received.
type received struct {
	Frames, Width, Height int
	First                 float64 // seconds from the offer to the first picture
	Longest               float64 // seconds between two pictures at most, since it told last
	Rising                bool    // so did the time stamps
	Luma                  []float64
	Deleted               int // the answer to the DELETE, at the end
}

// startReceiver starts a program that watches the default display of h, inside a network namespace when one is named.
func startReceiver(t testing.TB, program, namespace string, h *host, args ...string) *receiver {
	t.Helper()
	const columns, rows = 16, 9
	command := append([]string{
		"/usr/bin/python3", program, h.url + "/whep/default", fmt.Sprint(columns),
		fmt.Sprint(rows), h.token,
	}, args...)
	if namespace != "" {
		command = append([]string{"ip", "netns", "exec", namespace}, command...)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1") // nothing is left in the source tree
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	return &receiver{process: start(t, cmd), input: input, columns: columns, rows: rows}
}

// report returns the receiver's last report.
func (r *receiver) report(t testing.TB) (received, error) {
	t.Helper()
	var got received
	select {
	case <-r.done:
		if r.err != nil {
			t.Fatalf("%s ended: %v", r.Args, r.err)
		}
	default:
	}
	out := r.out.String()
	end := strings.LastIndex(out, "}\n")
	begin := strings.LastIndex(out[:max(end, 0)], "{\"frames\"")
	if begin < 0 {
		return got, errNotYet
	}
	return got, json.Unmarshal([]byte(out[begin:end+1]), &got)
}

// waitFrames waits until n more pictures than now have been decoded.
func (r *receiver) waitFrames(t testing.TB, n int) {
	t.Helper()
	first := -1
	eventually(t, patience, fmt.Sprintf("%d pictures", n), func() error {
		got, err := r.report(t)
		if err != nil {
			return err
		}
		if first < 0 {
			first = got.Frames
		}
		if got.Frames < first+n {
			return fmt.Errorf("%d of %d", got.Frames-first, n)
		}
		return nil
	})
}

// waitPicture waits until the receiver shows the X server's picture. The comparison is coarse, since a terminal may
// scroll meanwhile.
func (r *receiver) waitPicture(t testing.TB, x *xserver) {
	t.Helper()
	eventually(t, patience, "the picture is the desktop's", func() error {
		got, err := r.report(t)
		if err != nil {
			return err
		}
		if len(got.Luma) != r.columns*r.rows {
			return fmt.Errorf("%d cells of a picture of %dx%d", len(got.Luma), got.Width, got.Height)
		}
		if largest, mean := difference(got.Luma, x.luma(t, r.columns, r.rows)); mean > 8 {
			return fmt.Errorf("it differs by %.1f at most and %.1f on average, of 255", largest, mean)
		}
		return nil
	})
}

// size returns a function that returns the size of the last decoded picture.
func (r *receiver) size(t testing.TB) func() (width, height int, err error) {
	t.Helper()
	return func() (width, height int, err error) {
		got, err := r.report(t)
		return got.Width, got.Height, err
	}
}

// waitSize waits until the viewer of the only session decodes pictures of the size that the session reports. This must
// be the display's size, or a smaller size while the session reports a lower step: on a busy machine the encoder may be
// too slow for the full size of a moving screen, and stepping down is right.
func (h *host) waitSize(t testing.TB, x *xserver, decoded func() (width, height int, err error)) {
	t.Helper()
	eventually(t, patience, "the decoded picture has the session's size", func() error {
		width, height, err := decoded()
		if err != nil {
			return err
		}
		s := h.session(t)
		whole := s.Width == x.width && s.Height == x.height
		smaller := s.Encoding > 0 && (s.Width*4 == x.width*3 && s.Height*4 == x.height*3 || s.Width*2 == x.width &&
			s.Height*2 == x.height)
		if width != s.Width || height != s.Height || !whole && !smaller {
			return fmt.Errorf("%dx%d decoded; the session reports %dx%d with encoding %d of a display of %dx%d",
				width, height, s.Width, s.Height, s.Encoding, x.width, x.height)
		}
		return nil
	})
}

// leave makes the receiver end its session, and returns its last report.
func (r *receiver) leave(t testing.TB) received {
	t.Helper()
	if err := r.input.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.done:
	case <-time.After(patience):
		t.Fatalf("%s still runs", r.Args)
	}
	got, err := r.report(t)
	if err != nil {
		t.Fatal(err)
	}
	if got.Deleted != http.StatusOK {
		t.Errorf("DELETE was answered %d; want 200", got.Deleted)
	}
	return got
}

// waitEmpty waits until the host has no session.
func (h *host) waitEmpty(t testing.TB) {
	t.Helper()
	eventually(t, patience, "the session is gone", func() error {
		list, err := h.sessions()
		if err == nil && len(list) != 0 {
			err = fmt.Errorf("%d are left, the first %s", len(list), list[0].State)
		}
		return err
	})
}

// feedback returns the number of reports from the receiver of the only session, by kind, from the session's recording.
// The recording must replay exactly.
func (h *host) feedback(t testing.TB) map[adapt.FeedbackKind]int {
	t.Helper()
	status, data, err := h.request(http.MethodGet, "/v1/sessions/"+h.session(t).ID+"/recording")
	if err != nil || status != http.StatusOK {
		t.Fatalf("GET recording: status %d, %v: %.200s", status, err, data)
	}
	recording, err := flight.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	replay, err := recording.Replay()
	if err != nil {
		t.Fatal(err)
	}
	if replay.Differ > 0 {
		t.Errorf("the replay differs from the session in %d of %d decisions", replay.Differ, replay.Ticks)
	}
	kinds := map[adapt.FeedbackKind]int{}
	for kind, n := range replay.Feedback {
		if n > 0 {
			kinds[adapt.FeedbackKind(kind)] = n
		}
	}
	return kinds
}

// sane returns an error for values in a session's snapshot that are impossible on any path.
func (s snapshot) sane() error {
	var errs []error
	check := func(ok bool, what string, values ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(what, values...))
		}
	}
	check(s.State == "connected", "state %q", s.State)
	check(s.TargetBitrate > 0, "target %d", s.TargetBitrate)
	check(s.Loss >= 0 && s.Loss <= 1, "loss %v", s.Loss)
	check(s.RTTSeconds >= 0 && s.RTTSeconds < 5, "round trip %v s", s.RTTSeconds)
	check(s.Quality == "good" || s.Quality == "constrained" || s.Quality == "degraded" ||
		s.Quality == "critical", "quality %q by %s", s.Quality, s.Reason)
	for i, x := range s.Transitions {
		check(x.From != x.To, "transition %+v", x)
		check(i == 0 || s.Transitions[i-1].To == x.From, "transitions %+v", s.Transitions)
	}
	return errors.Join(errs...)
}
