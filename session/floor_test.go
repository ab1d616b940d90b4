package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"wavryhost/session/floor"
	"wavryhost/session/floor/floortest"
	"wavryhost/session/logtest"
	"wavryhost/session/rift"
)

// injector returns what opens a keyboard as the input of a display.
func injector(k *floortest.Keyboard) func() floor.Injector {
	return func() floor.Injector { return k.Open() }
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q; want %q", what, got, want)
	}
}

// dial opens a data channel before the offer is made.
func (r *remote) dial(label string) *webrtc.DataChannel {
	r.t.Helper()
	d, err := r.PC.CreateDataChannel(label, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// control connects as a controller, and returns the channel once it is open.
func (r *remote) control(h *house) *webrtc.DataChannel {
	r.t.Helper()
	d := r.dial("input")
	open := make(chan struct{})
	d.OnOpen(func() { close(open) })
	r.steer(h, RoleController)
	<-open
	return d
}

// steer connects as somebody of a role.
func (r *remote) steer(h *house, role Role) {
	r.t.Helper()
	a, err := h.Create(context.Background(), Offer{
		Display: "default", SDP: r.offer(false), Role: role,
		RemoteAddr: "test",
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.accept(a)
}

func openSteered(t *testing.T, keys *floortest.Keyboard, change func(*Config)) *house {
	t.Helper()
	return openSteeredWith(t, slog.DiscardHandler, keys, change)
}

// openSteeredWith is openSteered with a log.
func openSteeredWith(t *testing.T, log slog.Handler, keys *floortest.Keyboard, change func(*Config)) *house {
	t.Helper()
	h := openHouseWith(t, log, func(c *Config) {
		if change != nil {
			change(c)
		}
		displays := c.Displays
		c.Displays = func(ctx context.Context) []Display {
			list := displays(ctx)
			for i := range list {
				list[i].Input = injector(keys)
			}
			return list
		}
	})
	h.met.floor.Complete() // makes the series exist that tests read
	return h
}

func TestInputByDataChannel(t *testing.T) {
	keys := &floortest.Keyboard{}
	h := openSteered(t, keys, nil)
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	d := r.control(h)
	for _, text := range []string{
		"0801120a0d0000003f150000803e", "08011a0408011001", "08012204081e1001",
		"2a05150000c0bf", "720a0d0000c0bf150000003e", "720a0d0000c07f1500000000", // the last one is not a number
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Send(b); err != nil {
			t.Fatal(err)
		}
	}
	var did []string
	eventually(t, "input arrives", func() bool { did = append(did, keys.Got()...); return len(did) >= 5 })
	same(t, "input", did, "move 0.5 0.25", "button 1 down", "key 30 down", "scroll 0 -1.5", "move by -1.5 0.125")
	eventually(t, "the motion that is not a number is refused", func() bool {
		return seriesOf(t, h.reg, "wavry_host_input_dropped_total", "reason="+rift.FaultRange.String()) == 1
	})
	s, err := h.Session(r.id)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Control || !s.MayControl || !s.Controlled || !s.Relative || s.Role != "controller" ||
		h.Host().Displays[0].Control != r.id {
		t.Errorf("the session shows %+v, the display %+v", s, h.Host().Displays[0])
	}
	r.playing(t, 1) // pictures come as before
	if err := h.End(t.Context(), r.id, EndOperator, ""); err != nil {
		t.Fatal(err)
	}
	same(t, "the end", keys.Got(), "release")
	if n := h.events(EventControl); n != 2 {
		t.Errorf("%d events of control; want 2", n)
	}
}

func TestDataChannelsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		label  string
		role   Role
		policy floor.Policy
		deaf   bool
		want   string
	}{
		"a viewer's":           {"input", RoleViewer, floor.Controllers, false, "role"},
		"another label":        {"chat", RoleOperator, floor.Controllers, false, "label"},
		"input is off":         {"input", RoleOperator, floor.Off, false, "off"},
		"a display takes none": {"input", RoleOperator, floor.Controllers, true, "display"},
		"operators alone":      {"input", RoleController, floor.Operators, false, "role"},
	} {
		t.Run(name, func(t *testing.T) {
			keys := &floortest.Keyboard{}
			h := openSteered(t, keys, func(cfg *Config) { cfg.Input = c.policy })
			defer h.close(t)
			if c.deaf {
				next := *h.conf.get()
				next.Displays = func(context.Context) []Display { return []Display{h.screen.display()} }
				h.conf.p.Store(&next)
			}
			r := newRemote(t)
			defer r.close()
			first, second := r.dial(c.label), r.dial(c.label)
			closed := make(chan struct{}, 2)
			first.OnClose(func() { closed <- struct{}{} })
			second.OnClose(func() { closed <- struct{}{} })
			r.steer(h, c.role)
			<-closed
			<-closed
			if n := seriesOf(t, h.reg, "wavry_host_data_channels_refused_total", "reason="+c.want); n != 2 {
				t.Errorf("%v are counted as refused by %s; want 2", n, c.want)
			}
			if n := h.events(EventInputRefused); n != 1 {
				t.Errorf("%d events; want one for the session", n)
			}
			r.playing(t, 1)
			if s, err := h.Session(r.id); err != nil || s.Relative == c.deaf {
				t.Errorf("the display accepts relative motion: %v, %v; want %v", s.Relative, err, !c.deaf)
			}
			if keys.Opened != 0 {
				t.Error("the display's input was opened")
			}
		})
	}
}

func TestOneChannelASession(t *testing.T) {
	keys := &floortest.Keyboard{}
	h := openSteered(t, keys, nil)
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	closed := make(chan struct{}, 2)
	for range 2 {
		r.dial("input").OnClose(func() { closed <- struct{}{} })
	}
	r.steer(h, RoleOperator)
	<-closed
	if n := seriesOf(t, h.reg, "wavry_host_data_channels_refused_total", "reason=second"); n != 1 {
		t.Errorf("%v are refused as second; want 1", n)
	}
}

func TestDataChannelsWithoutEnd(t *testing.T) {
	h := openSteered(t, &floortest.Keyboard{}, nil)
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	for i := range floor.MaxChannels + 1 {
		r.dial(fmt.Sprint("x", i))
	}
	r.steer(h, RoleOperator)
	eventually(t, "the session ends", func() bool { return len(h.Sessions()) == 0 })
}

// What is typed is in no log, event, metric, recording or answer. The numbers are such as come up nowhere else.
func TestNothingTypedIsTold(t *testing.T) {
	keys := &floortest.Keyboard{}
	var log logtest.Buffer
	h := openSteeredWith(t, slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}), keys, nil)
	defer h.close(t)
	r := newRemote(t)
	defer r.close()
	d := r.control(h)
	const far = 4123456789
	send := func(b []byte) {
		t.Helper()
		if err := d.Send(b); err != nil {
			t.Fatal(err)
		}
	}
	send(riftPress(713))
	send(riftPress(far)) // no such key
	send(append(riftPress(713), 0x38, 1))
	send([]byte("hunter2 hunter2 hunter2"))
	send(riftPress(714))
	eventually(t, "input arrives", func() bool { return len(keys.Got()) > 0 || keys.Holding() })
	eventually(t, "what is wrong is counted", func() bool {
		return seriesOf(t, h.reg, "wavry_host_input_dropped_total", "reason="+rift.FaultKey.String()) == 1
	})
	var told bytes.Buffer
	s, err := h.Session(r.id)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.WriteRecording(r.id, &told); err != nil {
		t.Fatal(err)
	}
	if err := h.End(t.Context(), r.id, EndOperator, ""); err != nil {
		t.Fatal(err)
	}
	list, _, _ := h.journal.Events(0)
	fmt.Fprintf(&told, "%+v %+v %s", s, list, log.String())
	families, err := h.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		told.WriteString(f.String())
	}
	if !strings.Contains(log.String(), "control changed") || !strings.Contains(told.String(), "taken") {
		t.Error("the log does not tell of control, so this shows nothing")
	}
	for _, secret := range []string{
		fmt.Sprint(int64(plantedTime)), fmt.Sprint(int64(far)), "hunter2",
		hex.EncodeToString([]byte("hunter2")), "key 713", "Code:713",
	} {
		if strings.Contains(told.String(), secret) {
			t.Errorf("%q is told", secret)
		}
	}
}

// plantedTime is the time in the messages of riftPress.
const plantedTime = 918273645546372819

// riftPress is a message for a key that goes down.
func riftPress(code uint64) []byte {
	key := append(binary.AppendUvarint([]byte{0x08}, code), 0x10, 1)
	b := binary.AppendUvarint([]byte{0x08}, plantedTime)
	b = append(b, 0x22, byte(len(key)))
	return append(b, key...)
}
