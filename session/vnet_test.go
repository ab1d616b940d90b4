//go:build !race

// Timers of a synctest bubble share one context of the race detector, whichever threads run them (runtime/time.go,
// unlockAndRun, of Go 1.26.8), and it crashes when two do at once, as with the many timers of vnet. These tests run
// without it.

package session

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/vnet"
	"github.com/pion/webrtc/v4"

	"wavryhost/adapt"
)

// path is a network within the process: a host and a viewer, the way to whom has a bottleneck.
type path struct {
	router       *vnet.Router
	host, viewer *vnet.Net
	bottleneck   *vnet.TBFQueue
	delays       []*vnet.DelayFilter
	queues       []*vnet.Queue
}

// newPath builds a path of so many bits per second, with a queue of 300 ms. vnet's own jitter must stay off: it sleeps
// with a lock held, which stops the time of a bubble.
func newPath(t *testing.T, bits int, delay time.Duration) *path {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	p := &path{}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	p.router, err = vnet.NewRouter(&vnet.RouterConfig{CIDR: "192.0.2.0/24", LoggerFactory: quiet, QueueSize: 4096})
	must(err)
	p.host, err = vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{"192.0.2.1"}})
	must(err)
	p.attach(t, p.host, delay)
	p.viewer, p.bottleneck = p.tail(t, "192.0.2.2", bits, delay)
	must(p.router.Start())
	return p
}

func (p *path) attach(t *testing.T, nic vnet.NIC, delay time.Duration) {
	t.Helper()
	f, err := vnet.NewDelayFilter(nic, vnet.WithDelay(delay))
	if err != nil {
		t.Fatal(err)
	}
	p.delays = append(p.delays, f)
	if err := p.router.AddNet(f); err != nil {
		t.Fatal(err)
	}
}

// tail adds a viewer with a bottleneck of its own.
func (p *path) tail(t *testing.T, ip string, bits int, delay time.Duration) (*vnet.Net, *vnet.TBFQueue) {
	t.Helper()
	viewer, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{ip}})
	if err != nil {
		t.Fatal(err)
	}
	bottleneck := vnet.NewTBFQueue(bits, 12_000, int64(bits/8*3/10))
	queue, err := vnet.NewQueue(viewer, bottleneck)
	if err != nil {
		t.Fatal(err)
	}
	p.queues = append(p.queues, queue)
	p.attach(t, queue, delay)
	return viewer, bottleneck
}

// limit sets the bottleneck's rate.
func (p *path) limit(bits int) { limit(p.bottleneck, bits) }

func limit(bottleneck *vnet.TBFQueue, bits int) {
	bottleneck.SetRate(bits)
	bottleneck.SetSize(int64(bits / 8 * 3 / 10))
}

// on makes a Manager use a network within the process.
func (h *house) on(n *vnet.Net) {
	h.useNet(func(time.Duration) (transport.Net, error) { return n, nil })
}

// close stops the network once nobody sends any more. The router goes first: a filter that is closed under it would
// block it.
func (p *path) close(t *testing.T) {
	t.Helper()
	time.Sleep(200 * time.Millisecond)
	if err := p.router.Stop(); err != nil {
		t.Error(err)
	}
	synctest.Wait()
	for _, f := range p.delays {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, q := range p.queues {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}
}

// vnetRemote is a viewer at the far end, who reports by transport-wide feedback as browsers do.
func vnetRemote(t *testing.T, viewer *vnet.Net, set ...func(*webrtc.SettingEngine)) *remote {
	t.Helper()
	media, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	if err := webrtc.RegisterDefaultInterceptors(media, registry); err != nil {
		t.Fatal(err)
	}
	se := webrtc.SettingEngine{}
	se.SetNet(viewer)
	for _, f := range set {
		f(&se)
	}
	se.SetICEMulticastDNSMode(1)
	return remoteOf(t, webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(se)))
}

// TestWholeStackFollowsThePath has a manager, a pipeline, an encoding and a viewer, pion's ICE, DTLS, SRTP and RTCP,
// and pion's receiver, in virtual time: 1 Mbit/s, then 300 kbit/s, then 1 Mbit/s again.
func TestWholeStackFollowsThePath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const high, low = 1_000_000, 300_000
		p := newPath(t, high, 25*time.Millisecond)
		h := openHouse(t, func(c *Config) {
			c.Loopback, c.FPS, c.StartBitrate, c.MaxBitrate = false, 30, 300_000, 4_000_000
		})
		h.on(p.host)
		r := vnetRemote(t, p.viewer)
		r.watch(h)
		still := h.busy()

		// received are the bits per second that arrive in a while.
		received := func(long time.Duration) float64 {
			before := r.bytes()
			time.Sleep(long)
			return float64(r.bytes()-before) * 8 / long.Seconds()
		}
		session := func() Snapshot {
			s, err := h.Session(r.id)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		time.Sleep(10 * time.Second)
		if got, s := received(5*time.Second), session(); got < .6*high || got > high || s.QueueSeconds > .2 {
			t.Errorf("%.0f bit/s arrive over a path of %d; target %d, queue %.3f s, "+
				"%s", got, high, s.TargetBitrate, s.QueueSeconds, s.Quality)
		}
		p.limit(low)
		time.Sleep(2 * time.Second)
		// The target goes up and down around the capacity, and the bottleneck lets small bursts through.
		mean, queue := 0, 0.0
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			s := session()
			mean, queue = mean+s.TargetBitrate/20, max(queue, s.QueueSeconds)
		}
		if mean > 1.2*low || queue > .35 {
			t.Errorf("2 to 4 s after the path fell to %d: target %d in the mean, queue %.3f s at "+
				"most", low, mean, queue)
		}
		if got, s := received(10*time.Second), session(); got < .6*low || got > low ||
			s.Quality == adapt.Good.String() {
			t.Errorf("%.0f bit/s arrive over a path of %d; target %d, %s", got, low, s.TargetBitrate, s.Quality)
		}
		p.limit(high)
		time.Sleep(16 * time.Second)
		if got, s := received(5*time.Second), session(); got < .6*high || got > high {
			t.Errorf("%.0f bit/s arrive over a path of %d again; target %d, %s by "+
				"%s", got, high, s.TargetBitrate, s.Quality, s.Reason)
		}
		if n := h.events(EventQuality); n == 0 {
			t.Error("no event tells of a change of quality")
		}
		still()
		r.close()
		h.close(t)
		p.close(t)
	})
}

// reportsRemote is a viewer who sends receiver reports and requests for packets again, and reports on no single
// packets.
func reportsRemote(t *testing.T, viewer *vnet.Net) *remote {
	t.Helper()
	media, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	for _, err := range []error{
		media.RegisterDefaultCodecs(), webrtc.ConfigureNack(media, registry), webrtc.ConfigureRTCPReports(registry),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	se := webrtc.SettingEngine{}
	se.SetNet(viewer)
	se.SetICEMulticastDNSMode(1)
	return remoteOf(t, webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(se)))
}

// listening is a controller that counts its feedback by kind.
type listening struct {
	adapt.Controller
	kinds [adapt.Echo + 1]atomic.Int64
}

func (l *listening) OnFeedback(f adapt.Feedback) {
	l.kinds[f.Kind].Add(1)
	l.Controller.OnFeedback(f)
}

// TestReceiverReportsFollowThePath has the whole stack in virtual time again, and a viewer by receiver reports alone:
// 2 Mbit/s, a quarter of it, and 2 Mbit/s again.
func TestReceiverReportsFollowThePath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const high, low = 2_000_000, 500_000
		p := newPath(t, high, 25*time.Millisecond)
		heard := &listening{}
		h := openHouse(t, func(c *Config) {
			c.Loopback, c.FPS, c.StartBitrate, c.MaxBitrate = false, 30, 500_000, 4_000_000
			c.NewController = func(a adapt.Config) (_ adapt.Controller, err error) {
				heard.Controller, err = adapt.New(a)
				return heard, err
			}
		})
		h.on(p.host)
		r := reportsRemote(t, p.viewer)
		r.watch(h)
		still := h.busy()
		see := func(long time.Duration) (received float64, s Snapshot) {
			before := r.bytes()
			time.Sleep(long)
			s, err := h.Session(r.id)
			if err != nil {
				t.Fatal(err)
			}
			return float64(r.bytes()-before) * 8 / long.Seconds(), s
		}
		time.Sleep(15 * time.Second)
		if got, s := see(5 * time.Second); got < .7*high || got > high {
			t.Errorf("%.0f bit/s arrive over a path of %d; target %d, queue %.3f s, "+
				"%s", got, high, s.TargetBitrate, s.QueueSeconds, s.Quality)
		}
		p.limit(low)
		// until returns how long it takes until the session is as wanted.
		until := func(wanted func(Snapshot) bool) time.Duration {
			const step, most = 50 * time.Millisecond, 10 * time.Second
			for at := step; at < most; at += step {
				if _, s := see(step); wanted(s) {
					return at
				}
			}
			return most
		}
		falls := until(func(s Snapshot) bool { return s.TargetBitrate <= 1.1*low })
		drains := falls + until(func(s Snapshot) bool { return s.QueueSeconds < .05 })
		if falls > 2*time.Second || drains > 5*time.Second {
			t.Errorf("after the path fell to %d the target followed in %v, and the queue was gone in %v; want at "+
				"most 2 s and 5 s", low, falls, drains)
		}
		sum, queued := 0.0, 0
		for range 100 {
			got, s := see(100 * time.Millisecond)
			sum += got / 100
			if s.QueueSeconds > .2 {
				queued++
			}
		}
		if sum < .6*low || sum > low || queued > 30 {
			t.Errorf("%.0f bit/s arrive over a path of %d, %d %% of the time with a queue of over 0.2 s; want at "+
				"most 30 %%", sum, low, queued)
		}
		p.limit(high)
		time.Sleep(10 * time.Second)
		if got, s := see(5 * time.Second); got < .6*high || got > high {
			t.Errorf("%.0f bit/s arrive over a path of %d again; target %d, %s by "+
				"%s", got, high, s.TargetBitrate, s.Quality, s.Reason)
		}
		kinds := make([]int64, len(heard.kinds))
		for i := range kinds {
			kinds[i] = heard.kinds[i].Load()
		}
		if kinds[adapt.TWCC]+kinds[adapt.CCFB] != 0 || kinds[adapt.RR] < 30 || kinds[adapt.NACK] == 0 ||
			kinds[adapt.Echo] < 100 {
			t.Errorf("in 50 s the reports by form are %v; want none on packets, each second a receiver report, "+
				"some requests and four echoes a second", kinds)
		}
		still()
		r.close()
		h.close(t)
		p.close(t)
	})
}

// busy makes the screen change all the time, until still is called.
func (h *house) busy() (still func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second / 60)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if h.screen.Source() != nil {
					h.screen.Touch(spot)
				}
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}

// TestSlowViewerGetsAnEncodeOfItsOwn has two viewers of one display in virtual time: one on a path of 3 Mbit/s, and
// one whose path narrows to a tenth of it and widens again.
func TestSlowViewerGetsAnEncodeOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const high, low = 3_000_000, 300_000
		p := newPath(t, high, 10*time.Millisecond)
		viewer, bottleneck := p.tail(t, "192.0.2.3", high, 10*time.Millisecond)
		h := openHouse(t, func(c *Config) {
			c.Loopback, c.FPS, c.StartBitrate, c.MaxBitrate = false, 30, 1_000_000, 2_000_000
		})
		h.on(p.host)
		quick, slow := vnetRemote(t, p.viewer), vnetRemote(t, viewer)
		quick.watch(h)
		still := h.busy()
		time.Sleep(5 * time.Second)
		slow.watch(h)
		time.Sleep(15 * time.Second)

		see := func(r *remote) Snapshot {
			s, err := h.Session(r.id)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		encodes := func() int { return h.Host().Displays[0].Encodings }
		if a, b := see(quick), see(slow); encodes() != 1 || a.Encoding != b.Encoding {
			t.Errorf("%d encodings for two viewers of equal paths, at %d and %d bit/s; want "+
				"1", encodes(), a.TargetBitrate, b.TargetBitrate)
		}
		before := see(quick)
		moved := h.events(EventEncoding)
		limit(bottleneck, low)
		time.Sleep(10 * time.Second)
		a, b := see(quick), see(slow)
		if encodes() != 2 || a.Encoding == b.Encoding {
			t.Fatalf("%d encodings, numbers %d and %d at %d and %d bit/s; want one "+
				"each", encodes(), a.Encoding, b.Encoding, a.TargetBitrate, b.TargetBitrate)
		}
		if h.events(EventEncoding) != moved+1 {
			t.Errorf("%d changes of encoding; want 1", h.events(EventEncoding)-moved)
		}
		if rate := float64(a.BytesSent-before.BytesSent) * 8 / 10; rate < .85*float64(before.AchievedBitrate) {
			t.Errorf("the quick viewer got %.0f bit/s while the other's path narrowed; had "+
				"%d", rate, before.AchievedBitrate)
		}
		if n := a.FramesDropped - before.FramesDropped; n > 6 {
			t.Errorf("the quick viewer missed %d frames", n)
		}
		if b.TargetBitrate > 1.1*low {
			t.Errorf("the slow viewer's target is %d over a path of %d", b.TargetBitrate, low)
		}
		limit(bottleneck, high)
		time.Sleep(40 * time.Second)
		if a, b := see(quick), see(slow); encodes() != 1 || a.Encoding != b.Encoding {
			t.Errorf("%d encodings after the paths were equal again, at %d and %d bit/s; want "+
				"1", encodes(), a.TargetBitrate, b.TargetBitrate)
		}
		still()
		quick.close()
		slow.close()
		h.close(t)
		p.close(t)
	})
}
