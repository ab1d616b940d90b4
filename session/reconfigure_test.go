package session

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"wavryhost/encode"
	"wavryhost/encode/encodetest"
)

func TestReconfigure(t *testing.T) {
	h := openHouse(t, func(c *Config) { c.MaxSessions = 1 })
	defer h.close(t)
	h.alive(t)
	a, b := newRemote(t), newRemote(t)
	defer a.close()
	defer b.close()
	a.watch(h)
	offer := Offer{Display: "default", SDP: b.offer(false)}
	if _, err := h.Create(t.Context(), offer); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v; want ErrFull", err)
	}
	if err := h.Reconfigure(Config{MaxSessions: 2, MinBitrate: 5, MaxBitrate: 4}); err == nil {
		t.Error("a configuration that cannot work was taken")
	}
	if n := h.Host().Limit; n != 1 {
		t.Errorf("limit %d after a configuration that was refused; want 1", n)
	}
	if err := h.Reconfigure(Config{MaxSessions: 2}); err != nil {
		t.Fatal(err)
	}
	got, err := h.Create(t.Context(), offer)
	if err != nil {
		t.Fatalf("with room for two: %v", err)
	}
	b.accept(got)
	b.playing(t, 3)
	a.playing(t, 3)
	if err := h.Reconfigure(Config{MaxSessions: 1}); err != nil {
		t.Fatal(err)
	}
	a.playing(t, 3)
	if n := len(h.Sessions()); n != 2 {
		t.Errorf("%d sessions; a lower limit must not end any", n)
	}
}

func TestEncodersAreTriedAnew(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	h.alive(t)
	a := newRemote(t)
	defer a.close()
	a.watch(h)
	a.playing(t, 3)
	better := encodetest.New(encodetest.Config{Profile: encode.Profile{Name: "better"}})
	h.SetEncoders([]encode.Factory{better, h.enc}, func() []EncoderInfo {
		return []EncoderInfo{{
			Name:   "better",
			Usable: true,
		}}
	})
	if e := h.Host().Encoders; len(e) != 1 || !e[0].InUse {
		t.Errorf("encoders %+v", e)
	}
	a.playing(t, 10)
	if n := better.Stats().Opened; n != 0 {
		t.Error("an encode that runs well was taken from its encoder")
	}
	if err := h.End(t.Context(), a.id, EndOperator, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stage is closed", func() bool { return !h.pool.Open("test") })
	b := newRemote(t)
	defer b.close()
	b.watch(h)
	b.playing(t, 3)
	if s := better.Stats(); s.Opened != 1 {
		t.Errorf("the better encoder was opened %d times; want once", s.Opened)
	}
	if h.events(EventEncoders) != 1 {
		t.Error("no event")
	}
}

// What is applied by a reload stays when the encoders are tried anew at the same moment.
func TestReloadBesideAProbe(t *testing.T) {
	h := openHouse(t, nil)
	defer h.close(t)
	for i := range 2000 {
		want := h.conf.get().MaxSessions + 1
		name := fmt.Sprint(i)
		var both sync.WaitGroup
		both.Go(func() {
			h.SetEncoders([]encode.Factory{h.enc}, func() []EncoderInfo { return []EncoderInfo{{Name: name}} })
		})
		both.Go(func() {
			next := *h.conf.get()
			next.MaxSessions = want
			if err := h.Reconfigure(next); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		if c := h.conf.get(); c.MaxSessions != want || c.EncoderInfo()[0].Name != name {
			t.Fatalf("round %d: %d sessions at most, encoder %s; want %d and "+
				"%s", i, c.MaxSessions, c.EncoderInfo()[0].Name, want, name)
		}
	}
}
