//go:build integration

package endtoend

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// supervisor takes the messages of a daemon as systemd does, and so lets another process follow it.
type supervisor struct {
	socket   string
	messages chan string
}

func newSupervisor(t testing.TB) *supervisor {
	t.Helper()
	dir, err := os.MkdirTemp("", "wavry-notify-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &supervisor{socket: filepath.Join(dir, "notify"), messages: make(chan string, 1000)}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		for buffer := make([]byte, 4096); ; {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			select {
			case s.messages <- string(buffer[:n]):
			default: // no test waits for so many
			}
		}
	}()
	return s
}

// follow waits for the process that the daemon leaves its service to.
func (s *supervisor) follow(t testing.TB) (pid int) {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case m := <-s.messages:
			if text, ok := strings.CutPrefix(m, "MAINPID="); ok {
				pid, err := strconv.Atoi(text)
				if err != nil {
					t.Fatalf("the daemon sent %q", m)
				}
				return pid
			}
		case <-limit:
			t.Fatal("the daemon names no other process")
		}
	}
}

// await waits for a message.
func (s *supervisor) await(t testing.TB, want string) {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case m := <-s.messages:
			if m == want {
				return
			}
		case <-limit:
			t.Fatalf("no message %q", want)
		}
	}
}

// handoverStatus is what GET /v1/host says of it.
type handoverStatus struct {
	BootID   string `json:"boot_id"`
	Handover struct{ State, Problem string }
	Former   *struct{ Sessions int }
}

func (h *host) handoverStatus(t testing.TB) (s handoverStatus, err error) {
	t.Helper()
	code, body, err := h.request("GET", "/v1/host")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("status %d: %s", code, body)
	}
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	return s, err
}

// takesOver waits until another daemon answers, which ends with the test.
func (h *host) takesOver(t testing.TB, s *supervisor, before string) (pid int) {
	t.Helper()
	pid = s.follow(t)
	s.await(t, "READY=1")
	t.Cleanup(func() { endProcess(t, pid) })
	eventually(t, patience, "the new daemon answers", func() error {
		now, err := h.handoverStatus(t)
		if err == nil && now.BootID == before {
			err = errNotYet
		}
		return err
	})
	return pid
}

// succeed hands over to another daemon, which ends with the test.
func (h *host) succeed(t testing.TB, s *supervisor, order string) (pid int) {
	t.Helper()
	before, err := h.handoverStatus(t)
	if err != nil {
		t.Fatal(err)
	}
	h.handOver(t, order)
	return h.takesOver(t, s, before.BootID)
}

// failsToSucceed hands over to a program that is a shell script, and waits until that has failed with a problem. The
// daemon then accepts sessions as before.
func (h *host) failsToSucceed(t *testing.T, program, script, problem string) {
	t.Helper()
	before, err := h.handoverStatus(t)
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	installProgram(t, text, program)
	h.handOver(t, "")
	eventually(t, patience, "the handover to a program fails: "+script, func() error {
		now, err := h.handoverStatus(t)
		switch {
		case err != nil:
			return err
		case now.BootID != before.BootID || now.Former != nil:
			t.Fatalf("%s: another daemon answers: %+v", script, now)
		case now.Handover.State != "failed":
			return fmt.Errorf("it is %q", now.Handover.State)
		case !strings.Contains(now.Handover.Problem, problem):
			t.Fatalf("%s: the problem is %q; want %q", script, now.Handover.Problem, problem)
		}
		return nil
	})
	next, _ := join(t, h)
	next.waitMedia(t)
	next.leave(t, h)
}

// tellFormer is a command of a shell script that tells the former daemon about a step.
func tellFormer(step string) string {
	return `curl --silent --unix-socket "$WAVRY_FORMER_DAEMON/former.sock" --request POST http://former/handover/` + step
}

// endProcess ends a process that is no child of the test.
func endProcess(t testing.TB, pid int) {
	t.Helper()
	_ = syscall.Kill(pid, syscall.SIGTERM)
	awaitEnd(t, pid)
}

// awaitEnd waits for the end of a process. A process whose exit code nothing reads has ended, too.
func awaitEnd(t testing.TB, pid int) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("process %d ends", pid), func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			return errNotYet
		}
		return nil
	})
}

// handOver orders a handover.
func (h *host) handOver(t testing.TB, body string) {
	t.Helper()
	if code, answer, err := h.send("POST", "/v1/handover", body); err != nil || code != http.StatusAccepted {
		t.Fatalf("the handover: %d, %v: %s", code, err, answer)
	}
}

// watchScript notes when pictures were presented and in which session, and how often the element was emptied.
const watchScript = `(() => {
	const video = document.querySelector("#video");
	window.presented = [];
	window.emptied = 0;
	video.addEventListener("emptied", () => { window.emptied++; });
	const add = (at) => window.presented.push({at, session: window.wavry.session.id});
	// Before the element presents the new session, a preview is in front that has presented pictures already.
	const follow = (element) => {
		const note = (now, {presentationTime}) => {
			if (element === (document.querySelector(".preview.shown") || video)) add(presentationTime);
			if (element.isConnected) element.requestVideoFrameCallback(note);
		};
		element.requestVideoFrameCallback(note);
	};
	follow(video);
	new MutationObserver((all) => {
		for (const one of all) {
			for (const added of one.addedNodes) if (added.className === "preview") follow(added);
			if (one.type === "attributes" && one.target.className === "preview shown") add(performance.now());
		}
	}).observe(video.parentElement, {childList: true, subtree: true, attributeFilter: ["class"]});
	return true;
})()`

// presented is a picture that the page has presented.
type presented struct {
	At      float64 // in milliseconds
	Session string
}

// watchPictures begins to note pictures.
func (b *browser) watchPictures(t testing.TB) {
	t.Helper()
	var ok bool
	if err := b.eval(watchScript, &ok); err != nil {
		t.Fatal(err)
	}
}

// pictures returns what has been noted since watchPictures.
func (b *browser) pictures(t testing.TB) (list []presented, emptied int) {
	t.Helper()
	if err := b.eval("window.presented", &list); err != nil {
		t.Fatal(err)
	}
	if err := b.eval("window.emptied", &emptied); err != nil {
		t.Fatal(err)
	}
	return list, emptied
}

// The page moves to the new daemon while the former one plays. A viewer that cannot do that stays with the former one,
// and is served through the new one until it leaves.
func TestHandover(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t)
	h := startHost(t, hostOptions{
		env: []string{"NOTIFY_SOCKET=" + s.socket}, args: []string{"--display", "synthetic"},
	})
	b := openBrowser(t, "", h.page(""))
	b.waitFrames(t, 30, patience)
	other, _ := join(t, h)
	other.waitMedia(t)
	b.watchPictures(t)
	if pid := h.succeed(t, s, ""); pid == h.Process.Pid {
		t.Errorf("process %d took over from itself", pid)
	}
	b.waitLive(t, h)
	list, emptied := b.pictures(t)
	sessions := make(map[string]int)
	for _, one := range list {
		sessions[one.Session]++
	}
	if len(sessions) != 2 || emptied != 0 {
		t.Errorf("pictures of the sessions %v; the element was emptied %d times", sessions, emptied)
	}

	now, err := h.handoverStatus(t)
	if err != nil || now.Former == nil {
		t.Fatalf("the host does not show the former daemon: %+v, %v", now, err)
	}
	code, body, err := h.request("GET", "/v1/sessions/"+other.id())
	if err != nil || code != http.StatusOK || !strings.Contains(string(body), `"moving":true`) {
		t.Errorf("the other viewer's session: %d, %v: %s", code, err, body)
	}
	packets := other.packets.Load()
	eventually(t, patience, "the other viewer gets more pictures", func() error {
		if other.packets.Load() <= packets {
			return errNotYet
		}
		return nil
	})
	if syscall.Kill(h.Process.Pid, 0) != nil {
		t.Error("the former daemon has left its viewer")
	}
	other.leave(t, h)
	awaitEnd(t, h.Process.Pid)
	eventually(t, patience, "the host shows no former daemon", func() error {
		now, err := h.handoverStatus(t)
		if err == nil && now.Former != nil {
			err = errNotYet
		}
		return err
	})
	b.waitFrames(t, 10, patience)
}

// Firefox moves to the new daemon, too, and shows the display in the same element.
func TestHandoverInFirefox(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	x.desktop(t)
	s := newSupervisor(t)
	h := startHost(t, hostOptions{
		env: []string{"NOTIFY_SOCKET=" + s.socket}, args: []string{"--display", x.id(), "displays.cursor=false"},
	})
	b := openFirefox(t, h.page(""))
	b.waitFrames(t, 1, patience)
	b.waitPicture(t, x)
	b.watchPictures(t)
	h.succeed(t, s, "")
	b.waitLive(t, h)
	awaitEnd(t, h.Process.Pid)
	b.waitPicture(t, x)
	x.moving(t)
	b.waitFrames(t, 60, patience)
	if _, emptied := b.pictures(t); emptied != 0 {
		t.Errorf("the element was emptied %d times", emptied)
	}
	eventually(t, patience, "the preview is gone", func() error {
		var left int
		err := b.eval(`document.querySelectorAll(".preview").length`, &left)
		if err == nil && left != 0 {
			err = errNotYet
		}
		return err
	})
}

// What the user holds is held after the handover, too, and what is typed arrives.
func TestHandoverWithInput(t *testing.T) {
	t.Parallel()
	x := startX(t, 0, 1280, 720)
	file := x.reader(t)
	s := newSupervisor(t)
	h := startHost(t, hostOptions{
		env: []string{"NOTIFY_SOCKET=" + s.socket}, args: []string{"--display", x.id()},
	})
	b := openBrowser(t, "", h.page(""))
	b.control(t, x, [2]int{300, 200})
	b.typeKeys(t, "before")
	b.key(t, "ShiftLeft", true, shift)
	const shiftKey = 50 // X has the code of Linux plus 8
	x.waitHeld(t, "Shift is down", shiftKey)
	h.succeed(t, s, `{"deadline_seconds": 60}`)
	b.waitLive(t, h)
	x.waitHeld(t, "Shift is down in the new session", shiftKey)
	b.waitControl(t, "you control")
	b.key(t, "ShiftLeft", false, 0)
	x.waitHeld(t, "Shift is up")
	b.typeKeys(t, " and after\r")
	typed(t, file, []byte("before and after"))
	awaitEnd(t, h.Process.Pid)
}

// A new program that does not work leaves everything as it was. The next one can take over.
func TestHandoverThatFails(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t)
	program := filepath.Join(t.TempDir(), "wavry-host")
	installProgram(t, hostBinary, program)
	h := startHost(t, hostOptions{
		program: program, env: []string{"NOTIFY_SOCKET=" + s.socket}, args: []string{"--display", "synthetic"},
	})
	b := openBrowser(t, "", h.page(""))
	b.waitFrames(t, 30, patience)
	b.watchPictures(t)
	for name, script := range map[string]string{
		"crashes at once":         "kill -SEGV $$",
		"refuses its flags":       "echo unknown flag >&2; exit 64",
		"ends without an error":   "exit 0",
		"crashes while it serves": tellFormer("serving") + "; exit 2",
	} {
		t.Log("a program that " + name)
		h.failsToSucceed(t, program, script, "it ended before it had taken over")
	}
	list, emptied := b.pictures(t)
	for _, one := range list {
		if one.Session != list[0].Session {
			t.Errorf("the page has changed its session from %s to %s", list[0].Session, one.Session)
			break
		}
	}
	if emptied != 0 {
		t.Errorf("the element was emptied %d times", emptied)
	}
	installProgram(t, hostBinary, program)
	h.succeed(t, s, "")
	b.waitLive(t, h)
	awaitEnd(t, h.Process.Pid)
}

// Two daemons share the one media port of a host: the page moves to the new one, and another viewer's packets reach the
// former one.
func TestHandoverOnOneMediaPort(t *testing.T) {
	t.Parallel()
	s := newSupervisor(t)
	port := freeUDP(t)
	program := filepath.Join(t.TempDir(), "wavry-host")
	installProgram(t, hostBinary, program)
	h := startHost(t, hostOptions{
		program: program,
		env:     []string{"NOTIFY_SOCKET=" + s.socket},
		args: []string{
			"--display", "synthetic", fmt.Sprintf("media.udp.port=%d", port), fmt.Sprintf("media.tcp.port=%d", port),
		},
	})
	b := openBrowser(t, "", h.page(""))
	b.waitFrames(t, 30, patience)
	other, _ := join(t, h)
	other.waitMedia(t)
	// A program that takes the port and hangs loses it.
	h.failsToSucceed(t, program, tellFormer("media")+"\nexec sleep 1000", "it hangs")

	installProgram(t, hostBinary, program)
	h.succeed(t, s, "")
	b.waitLive(t, h)
	// What it sends reaches the former daemon: each of its requests is followed by a keyframe.
	keyframes := func() (n int) {
		t.Helper()
		code, body, err := h.request("GET", "/v1/sessions/"+other.id())
		var one struct {
			State     string
			Keyframes int `json:"keyframes_sent"`
		}
		if err == nil {
			err = json.Unmarshal(body, &one)
		}
		if err != nil || code != http.StatusOK || one.State != "connected" {
			t.Fatalf("the other viewer's session: %d, %v: %s", code, err, body)
		}
		return one.Keyframes
	}
	for range 3 {
		sent := keyframes()
		eventually(t, patience, "the viewer of the former daemon gets a keyframe", func() error {
			media := uint32(other.pc.GetReceivers()[0].Track().SSRC())
			err := other.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: media}})
			if err == nil && keyframes() == sent {
				err = errNotYet
			}
			return err
		})
	}
	third, _ := join(t, h)
	third.waitMedia(t)
	third.leave(t, h)
	other.leave(t, h)
	awaitEnd(t, h.Process.Pid)
	b.waitFrames(t, 10, patience)
	last, _ := join(t, h)
	last.waitMedia(t)
	last.leave(t, h)
}

// A daemon that cannot leave its sessions to another one says why.
func TestHandoverThatIsImpossible(t *testing.T) {
	t.Parallel()
	h := startHost(t, hostOptions{args: []string{"--display", "synthetic"}})
	h.handOver(t, "")
	now, err := h.handoverStatus(t)
	if last := now.Handover; err != nil || last.State != "impossible" ||
		!strings.Contains(last.Problem, "no service of systemd") {
		t.Errorf("got %+v, %v", last, err)
	}
}

// freeUDP returns a port that was free a moment ago.
func freeUDP(t *testing.T) int {
	t.Helper()
	udp := loopback(t)
	defer udp.Close()
	return udp.LocalAddr().(*net.UDPAddr).Port //nolint:forcetypeassert // it is UDP
}

// BenchmarkHandover measures the gap between the last picture of the former daemon and the first one of the new daemon,
// and the longest gaps in the pictures after and before it. Its rounds are benchmarks of their own, which end what they
// have started.
func BenchmarkHandover(b *testing.B) {
	for range 7 {
		b.Run("round", func(b *testing.B) {
			for b.Loop() {
				before, gap, after := handoverGaps(b)
				b.ReportMetric(before, "ms-before")
				b.ReportMetric(gap, "ms-gap")
				b.ReportMetric(after, "ms-after")
			}
		})
	}
}

// comparedPictures is the number of pictures before and after a handover whose gaps count.
const comparedPictures = 60

// handoverGaps returns the gap of one handover under a page, and the longest ones before and after it, in milliseconds.
func handoverGaps(b *testing.B) (before, gap, after float64) {
	b.Helper()
	s := newSupervisor(b)
	h := startHost(b, hostOptions{
		env: []string{"NOTIFY_SOCKET=" + s.socket}, args: []string{"--display", "synthetic"},
	})
	page := openBrowser(b, "", h.page(""))
	page.waitFrames(b, 30, patience)
	page.watchPictures(b)
	page.waitFrames(b, 2*comparedPictures, patience)
	h.succeed(b, s, "")
	awaitEnd(b, h.Process.Pid)
	page.waitFrames(b, 2*comparedPictures, patience)
	list, _ := page.pictures(b)
	at := slices.IndexFunc(list, func(one presented) bool { return one.Session != list[0].Session })
	if at <= comparedPictures || len(list) < at+comparedPictures {
		b.Fatalf("%d pictures, of which the %dth is the first one of the new session", len(list), at)
	}
	longest := func(list []presented) (ms float64) {
		for i, one := range list[1:] {
			ms = max(ms, one.At-list[i].At)
		}
		return ms
	}
	return longest(list[:comparedPictures]), list[at].At - list[at-1].At, longest(list[at : at+comparedPictures])
}
