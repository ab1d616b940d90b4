//go:build integration

package endtoend

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wavryhost/session/fleet/pool"

	"github.com/nats-io/nats.go"
)

// natsProcess is a NATS server with JetStream, in a process of its own.
type natsProcess struct {
	program, folder string
	port            int
	*process
}

// startNATS builds the server from the module proxy, and starts it.
func startNATS(t *testing.T) *natsProcess {
	t.Helper()
	s := &natsProcess{folder: t.TempDir()}
	s.program = filepath.Join(s.folder, "nats-server")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", s.program, "github.com/nats-io/nats-server/v2")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build nats-server: %v\n%s", err, out)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := ln.Addr().(*net.TCPAddr); ok {
		s.port = a.Port
	}
	_ = ln.Close()
	s.start(t)
	return s
}

// start starts the server, with what it had stored.
func (s *natsProcess) start(t *testing.T) {
	t.Helper()
	s.process = start(t, exec.Command(s.program, "-a", "127.0.0.1", "-p", strconv.Itoa(s.port), "-js",
		"-sd", filepath.Join(s.folder, "store")))
}

func (s *natsProcess) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.port) }

// seenEvents are the numbers of the events that a host has shown.
type seenEvents struct {
	mu   sync.Mutex
	list []uint64
}

// follow notes the events of a host until it ends.
func (s *seenEvents) follow(h *host) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, h.url+"/v1/events", http.NoBody)
	if err != nil {
		return
	}
	r.Header.Set("Authorization", "Bearer "+h.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		var e struct{ ID uint64 }
		if !ok || json.Unmarshal([]byte(text), &e) != nil || e.ID == 0 {
			continue
		}
		s.mu.Lock()
		s.list = append(s.list, e.ID)
		s.mu.Unlock()
	}
}

// Over kill -9 of the server and of the daemon while events happen, each event that the daemon has shown is in the
// stream, in order, or in a gap that the stream names: the last events before the daemon was killed.
func TestFleetEventsSurviveKills(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	var nc *nats.Conn
	eventually(t, patience, "the server answers", func() (err error) {
		nc, err = nats.Connect(s.url(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
		return err
	})
	t.Cleanup(nc.Close)
	eventually(t, patience, "the streams are made", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return pool.Setup(ctx, nc, pool.Streams{})
	})
	dir := t.TempDir()
	options := hostOptions{args: []string{
		"--display", "synthetic", "--virtual-size", "640x360", "fleet.url=" + s.url(), "fleet.insecure=true",
		"fleet.events=true", "fleet.key_file=" + filepath.Join(dir, "key"),
		"fleet.outbox_file=" + filepath.Join(dir, "outbox"),
	}}
	seen := &seenEvents{}
	const kills = 2
	for kill := range kills {
		h := startHost(t, options)
		var wg sync.WaitGroup
		var over atomic.Bool
		wg.Go(func() { seen.follow(h) })
		wg.Go(func() { // events happen
			for n := 0; !over.Load(); n++ {
				_, _, _ = h.request([]string{http.MethodPut, http.MethodDelete}[n%2], "/v1/cordon")
			}
		})
		<-time.After(300 * time.Millisecond)
		s.kill()
		<-time.After(300 * time.Millisecond)
		s.start(t)
		<-time.After(700 * time.Millisecond)
		if kill < kills-1 {
			h.kill()
			over.Store(true)
		} else {
			over.Store(true)
			h.stop(t)
		}
		wg.Wait()
	}
	checkStored(t, nc, seen.list)
}

// checkStored compares the stream with the events that were seen, of which the last is stored.
func checkStored(t *testing.T, nc *nats.Conn, seen []uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stored, last := make(map[uint64]bool), uint64(0)
	var gaps [][2]uint64
	_ = pool.Events(ctx, nc, pool.EventOptions{Since: time.Unix(1, 0)}, func(e pool.Event) error {
		var d struct{ ID, After, Next uint64 }
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Errorf("event %s: %v", e.Name, err)
		}
		if e.Kind == "gap" {
			gaps = append(gaps, [2]uint64{d.After, d.Next})
			return nil
		}
		if d.ID <= last && !stored[d.ID] {
			t.Errorf("event %d comes after %d", d.ID, last)
		}
		stored[d.ID], last = true, max(last, d.ID)
		if last >= seen[len(seen)-1] {
			cancel()
		}
		return nil
	})
	lost, marked := 0, 0
	for _, id := range seen {
		switch {
		case stored[id]:
		case inGap(gaps, id):
			marked++
		default:
			lost++
		}
	}
	t.Logf("%d events seen, %d stored, %d in gaps, %d lost", len(seen), len(stored), marked, lost)
	if lost > 0 || len(seen) < 50 || len(gaps) != 1 {
		t.Errorf("%d of %d events are lost; the gaps are %v", lost, len(seen), gaps)
	}
}

func inGap(gaps [][2]uint64, id uint64) bool {
	for _, g := range gaps {
		if g[0] < id && id < g[1] {
			return true
		}
	}
	return false
}
