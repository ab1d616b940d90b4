// Package selfprobe watches one of this host's displays as a viewer does: by WHEP, through the host's own public
// address. It decodes pictures and compares them with what was captured.
package selfprobe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// Decoder decodes pictures, of which the first is a keyframe.
type Decoder interface {
	Decode(unit []byte) (*Grid, error)
	Close()
}

// Config says what to watch.
type Config struct {
	// Page is the address of the viewer page, which ends with a slash.
	Page string
	// Display is the ID of the display, and Token the bearer token for it.
	Display, Token string
	// Roots are the authorities of the host's certificate; nil means the system's.
	Roots *x509.CertPool
	// Decoder opens a decoder of a codec, by its name in RTP.
	Decoder func(codec string) (Decoder, error)
	// Compare returns the similarity of a decoded picture to what was captured; ok is false if nothing was.
	Compare func(*Grid) (similarity float64, ok bool)
	// Guard runs a function and returns its panic as an error.
	Guard func(func()) error
}

// Result is what a probe has seen.
type Result struct {
	// FirstFrame is the time from the request to the first decoded picture.
	FirstFrame time.Duration
	// Similarity is that of the best picture; Compared reports whether there was something to compare with.
	Similarity float64
	Compared   bool
}

// Good is the similarity from which on a picture counts as the captured one. Encoded pictures of desktops have over
// .98; a black picture or that of another window has under .7.
const Good = .9

// refining bounds the wait for a picture that is good enough. The first picture on a slow path is coarse.
const refining = 2 * time.Second

// goodbye bounds the end of the session.
const goodbye = 2 * time.Second

// Watch watches a display until one good picture is decoded, or refining is over after the first one. ctx bounds it.
func Watch(ctx context.Context, c Config) (r Result, err error) {
	began := time.Now()
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		return r, err
	}
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true) // media may stay on this machine
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(settings)).
		NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, pc.Close()) }()
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo,
		webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		return r, err
	}
	pictures := make(chan *Grid, 1) // the newest; Watch takes them at leisure
	failed := make(chan error, 2)   // the end of the connection, and of the track; one each
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateFailed {
			failed <- errors.New("connect: no path to the host, or no DTLS")
		}
	})
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		var err error
		if caught := c.Guard(func() { err = c.receive(pc, track, pictures) }); caught != nil {
			err = caught
		}
		failed <- err
	})
	left, err := c.open(ctx, pc)
	if err != nil {
		return r, err
	}
	defer left(context.WithoutCancel(ctx))
	var enough <-chan time.Time
	for {
		select {
		case g := <-pictures:
			if r.FirstFrame == 0 {
				r.FirstFrame = time.Since(began)
				t := time.NewTimer(refining)
				defer t.Stop()
				enough = t.C
			}
			if s, ok := c.Compare(g); ok && (!r.Compared || s > r.Similarity) {
				r.Similarity, r.Compared = s, true
			}
			if r.Similarity >= Good {
				return r, nil
			}
		case <-enough:
			return r, nil
		case err := <-failed:
			return r, err
		case <-ctx.Done():
			if r.FirstFrame > 0 {
				return r, nil
			}
			return r, fmt.Errorf("no picture could be decoded within %v, in state %s",
				time.Since(began).Round(time.Second), pc.ConnectionState())
		}
	}
}

// answer is an answer of the host.
type answer struct {
	code                   int
	status, location, body string
}

// open offers to receive video and takes the answer. It returns the function that ends the session.
func (c Config) open(ctx context.Context, pc *webrtc.PeerConnection) (left func(context.Context), err error) {
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return nil, err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return nil, err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	tlsConfig := &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12}
	// The host's address is not reached through a proxy, and a redirect would take the token elsewhere.
	transport := &http.Transport{TLSClientConfig: tlsConfig, DisableKeepAlives: true}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ask := func(ctx context.Context, method, target, body string) (a answer, err error) {
		r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
		if err != nil {
			return a, err
		}
		r.Header.Set("Authorization", "Bearer "+c.Token)
		r.Header.Set("User-Agent", "wavry-host self-probe")
		if body != "" {
			r.Header.Set("Content-Type", "application/sdp")
		}
		resp, err := client.Do(r)
		if err != nil {
			return a, err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		return answer{resp.StatusCode, resp.Status, resp.Header.Get("Location"), string(text)}, err
	}
	endpoint := c.Page + "whep/" + url.PathEscape(c.Display)
	got, err := ask(ctx, http.MethodPost, endpoint, pc.LocalDescription().SDP)
	if err != nil {
		return nil, err
	}
	if got.code != http.StatusCreated {
		return nil, fmt.Errorf("POST %s: %s: %.300s", endpoint, got.status, got.body)
	}
	resource, err := url.Parse(endpoint)
	if err == nil {
		resource, err = resource.Parse(got.location)
	}
	if err != nil {
		return nil, fmt.Errorf("POST %s: Location: %w", endpoint, err)
	}
	left = func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, goodbye)
		defer cancel()
		_, _ = ask(ctx, http.MethodDelete, resource.String(), "") // else the session ends when nothing is heard
	}
	err = pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: got.body})
	if err != nil {
		left(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("the host's answer: %w", err)
	}
	return left, nil
}

// receive decodes a track, and hands over the newest picture, until the connection ends.
func (c Config) receive(pc *webrtc.PeerConnection, track *webrtc.TrackRemote, pictures chan *Grid) error {
	_, name, _ := strings.Cut(track.Codec().MimeType, "/")
	units, err := newUnits(name)
	if err != nil {
		return err
	}
	decoder, err := c.Decoder(name)
	if err != nil {
		return err
	}
	defer decoder.Close()
	request := func() error {
		return pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())}})
	}
	decoded, asked := false, time.Time{}
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		unit, lost := units.add(p)
		var g *Grid
		if unit != nil {
			if g, err = decoder.Decode(unit); err != nil && decoded {
				return fmt.Errorf("decode: %w", err)
			}
		}
		if g == nil {
			// A picture without its keyframe does not decode.
			if (lost || unit != nil) && time.Since(asked) > time.Second {
				asked = time.Now()
				if err := request(); err != nil {
					return err
				}
			}
			continue
		}
		decoded = true
		select {
		case <-pictures:
		default:
		}
		pictures <- g
	}
}
