//go:build integration

package endtoend

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wavryhost/adapt/chart"
	"wavryhost/encode/encodetest/scene"
)

const (
	peerSettle = 4 * time.Second // from the first pictures to the measurement
	peerWatch  = 8 * time.Second
	peerKeep   = 200 * time.Millisecond // from one scored picture to the next
)

// figures are what was measured of a product with a scene at a rate.
type figures struct {
	pictures, seconds float64 // new ones that were shown, in a time
	p50, p95          float64 // ms from drawing to the display
	rate              float64 // kbit/s
	ssim, psnr        float64
	scored, height    float64 // pictures, and the rows of the last one
	cpu               float64 // ms of the product's processes and of the X server for it, each second
}

func (f figures) perSecond() float64 { return f.pictures / f.seconds }

func (f figures) cpuPerPicture() float64 { return f.cpu / max(f.perSecond(), 1) }

// middle returns the medians of the figures, one by one.
func middle(list []figures) (m figures) {
	of := func(get func(*figures) *float64) {
		var v []float64
		for i := range list {
			v = append(v, *get(&list[i]))
		}
		slices.Sort(v)
		*get(&m) = v[len(v)/2]
	}
	for _, get := range []func(*figures) *float64{
		func(f *figures) *float64 { return &f.pictures }, func(f *figures) *float64 { return &f.seconds },
		func(f *figures) *float64 { return &f.p50 }, func(f *figures) *float64 { return &f.p95 },
		func(f *figures) *float64 { return &f.rate }, func(f *figures) *float64 { return &f.ssim },
		func(f *figures) *float64 { return &f.psnr }, func(f *figures) *float64 { return &f.scored },
		func(f *figures) *float64 { return &f.height },
		func(f *figures) *float64 { return &f.cpu },
	} {
		of(get)
	}
	return m
}

// errorOf returns the mean squared error of a PSNR, as a share of the largest, and ratioOf the PSNR of an error.
func errorOf(psnr float64) float64   { return math.Pow(10, -psnr/10) }
func ratioOf(square float64) float64 { return -10 * math.Log10(square) }

// chosen returns the parts of a variable of the environment, or of its default.
func chosen(name, otherwise string) []string {
	return strings.Split(cmp.Or(os.Getenv(name), otherwise), ",")
}

// BenchmarkPeers streams the same scenes from the same X display through this daemon and other products to Chromium.
// WAVRY_PEERS is the folder of the report. WAVRY_SCENES and WAVRY_PRODUCTS choose some of them (beginnings of names),
// WAVRY_RATES has the rates in kbit/s, WAVRY_SIZE the height in pixels, WAVRY_ROUNDS how often all is measured.
func BenchmarkPeers(b *testing.B) {
	dir := os.Getenv("WAVRY_PEERS")
	if dir == "" {
		b.Skip("make bench-peers runs it: it takes an hour")
	}
	height, err := strconv.Atoi(cmp.Or(os.Getenv("WAVRY_SIZE"), "720"))
	if err != nil {
		b.Fatal(err)
	}
	rounds, err := strconv.Atoi(cmp.Or(os.Getenv("WAVRY_ROUNDS"), "3"))
	if err != nil {
		b.Fatal(err)
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		b.Fatal(err)
	}
	r := report{height: height, rounds: rounds, load: strings.Fields(string(load))[0], results: map[measured][]figures{}}
	for _, text := range chosen("WAVRY_RATES", "1000,2000,4000") {
		rate, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		r.rates = append(r.rates, rate)
	}
	begins := func(name, variable string) bool {
		return slices.ContainsFunc(chosen(variable, ""), func(s string) bool { return strings.HasPrefix(name, s) })
	}
	for b.Loop() {
		for _, s := range scene.All(height*16/9, height) {
			if !begins(s.Name, "WAVRY_SCENES") {
				continue
			}
			r.scenes = append(r.scenes, s.Name)
			on := &stage{scene: s, width: height * 16 / 9, height: height}
			on.rehearse()
			x := startX(b, 0, on.width, on.height)
			stop := on.play(b, x)
			alone := serverAlone(b, x)
			stop()
			for round := range rounds {
				for _, rate := range r.rates {
					for _, p := range products {
						if !begins(p.name, "WAVRY_PRODUCTS") {
							continue
						}
						b.Run(fmt.Sprintf("%s/%d/%s/%d", s.Name, rate, p.name, round), func(b *testing.B) {
							for b.Loop() {
								f := on.measure(b, x, p, rate*1000)
								f.cpu -= alone
								r.results[measured{s.Name, p.name, rate}] = append(r.results[measured{s.Name, p.name, rate}], f)
								b.Logf("%+v", f)
							}
						})
					}
				}
			}
		}
	}
	r.write(b, dir)
}

// peerPage returns the address of a page with testdata/peers.js and a video element. Chromium lets pages of 127.0.0.1
// share the screen.
func peerPage(t testing.TB) string {
	t.Helper()
	script, err := os.ReadFile("testdata/peers.js")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, "<!doctype html><body style=margin:0><video muted autoplay playsinline></video>"+
			"<script>%s</script>", script)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// measure has a viewer watch a product's stream of the scene.
func (s *stage) measure(b *testing.B, x *xserver, p product, bits int) (f figures) {
	b.Helper()
	v := openBrowser(b, "", peerPage(b))
	v.readsCodes(b)
	stop := s.play(b, x)
	defer stop()
	pid := p.send(b, x, v, bits)
	s.covered.Store(true)
	eventually(b, patience, "pictures are shown", func() error {
		var decoded int
		if err := v.eval("peer.decoded()", &decoded); err != nil || decoded < 3 {
			return fmt.Errorf("%d pictures, %w", decoded, err)
		}
		return nil
	})
	<-time.After(peerSettle)
	cpu := func() (sum time.Duration) {
		for _, one := range append(family(b, pid), pid, x.Process.Pid) {
			sum += processor(b, one)
		}
		return sum
	}
	before, begun := cpu(), time.Now()
	var got struct {
		Times []struct {
			At, Drawn float64
			Number    int
		}
		Took   float64
		Failed string
		Kept   int
		Bytes  float64
	}
	if err := v.eval(fmt.Sprintf("peer.watch(%v, %v)", peerWatch.Seconds(), peerKeep.Seconds()), &got); err != nil {
		b.Fatal(err)
	}
	f.cpu = millis(cpu()-before) / time.Since(begun).Seconds()
	if got.Failed != "" || got.Kept == 0 {
		b.Fatalf("%d pictures were kept: %s", got.Kept, got.Failed)
	}
	f.rate, f.seconds = got.Bytes*8/got.Took/1000, got.Took
	var delays []float64
	last, unread := 0, 0
	for _, one := range got.Times {
		switch {
		case one.Number == 0:
			unread++
		case one.Number != last:
			if last != 0 { // the first was drawn before the viewer watched
				delays = append(delays, one.At-one.Drawn)
			}
			last = one.Number
		}
	}
	if len(delays) == 0 {
		b.Fatalf("no strip can be read in %d pictures", unread)
	}
	f.pictures = float64(len(delays) + unread)
	slices.Sort(delays)
	f.p50, f.p95 = delays[len(delays)/2], delays[len(delays)*95/100]
	var pictures []picture
	for i := range got.Kept {
		var one struct {
			Width, Height int
			Luma          string
		}
		if err := v.eval(fmt.Sprintf("peer.picture(%d)", i), &one); err != nil {
			b.Fatal(err)
		}
		luma, err := base64.StdEncoding.DecodeString(one.Luma)
		if err != nil {
			b.Fatal(err)
		}
		pictures = append(pictures, picture{one.Width, one.Height, luma})
	}
	if dir := os.Getenv("WAVRY_PICTURES"); dir != "" { // to look at
		name := fmt.Sprintf("%s-%s-%d.pgm", s.scene.Name, p.name, bits/1000)
		content := fmt.Appendf(nil, "P5 %d %d 255\n%s", pictures[0].width, pictures[0].height, pictures[0].luma)
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	var scored int
	f.ssim, f.psnr, scored = s.score(pictures)
	f.scored = float64(scored)
	f.height = float64(pictures[len(pictures)-1].height)
	return f
}

// measured is what figures are of.
type measured struct {
	scene, product string
	rate           int // kbit/s
}

// report has the figures of a run.
type report struct {
	height, rounds int
	load           string
	scenes         []string
	rates          []int
	results        map[measured][]figures
}

// system returns the name of the operating system.
func system(t testing.TB) string {
	t.Helper()
	return valueOf(t, "/etc/os-release", "PRETTY_NAME=")
}

// processorName returns the model of the processors.
func processorName(t testing.TB) string {
	t.Helper()
	return valueOf(t, "/proc/cpuinfo", "model name\t: ")
}

// valueOf returns what follows a name at the beginning of a line of a file.
func valueOf(t testing.TB, file, name string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return "unknown"
}

// write writes the tables and the curves.
func (r *report) write(t testing.TB, dir string) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "# Other products: results\n\n"+
		"[What this is](../peers.md). `make bench-peers` writes this page.\n\n"+
		"%s; %s; %d processors (%s).\n%dx%d; medians, rounds: %d; load of the machine before: %s.\n\n"+
		"![Quality by rate](curves.svg)\n", time.Now().UTC().Format(time.DateOnly), system(t), runtime.NumCPU(),
		processorName(t), r.height*16/9, r.height, r.rounds, r.load)
	for _, s := range r.scenes {
		fmt.Fprintf(&text, "\n## %s\n\n"+
			"| product | rate | kbit/s | pictures/s | delay p50, p95, ms | SSIM | PSNR, dB | rows | CPU, ms/picture |\n"+
			"| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n", s)
		for _, rate := range r.rates {
			for _, p := range products {
				list := r.results[measured{s, p.name, rate}]
				if len(list) == 0 {
					continue
				}
				f := middle(list)
				quality := fmt.Sprintf("%.4f | %.1f", f.ssim, f.psnr)
				if f.scored == 0 {
					quality = "– | –" // no strip can be read
				}
				fmt.Fprintf(&text, "| %s | %d | %.0f | %.1f | %.0f, %.0f | %s | %.0f | %.1f |\n",
					p.name, rate, f.rate, f.perSecond(), f.p50, f.p95, quality, f.height, f.cpuPerPicture())
			}
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"results.md": text.String(), "curves.svg": r.draw()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s", text.String())
}

// draw draws the quality by rate, a panel for each scene. SSIM is drawn as dB of its distance from 1.
func (r *report) draw() string {
	const wide, high, left, gap, top = 420, 200, 50, 60, 40
	rows := (len(r.scenes) + 1) / 2
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" `+
		`font-family="sans-serif" font-size="12">`+"\n"+
		`<rect width="100%%" height="100%%" fill="#fff"/>`+"\n", 2*(wide+left)+gap, top+rows*(high+gap)+40)
	dB := func(ssim float64) float64 { return -10 * math.Log10(1-min(ssim, 0.99999)) }
	most := 0.0
	for _, list := range r.results {
		most = max(most, middle(list).rate)
	}
	most = chart.Step(most) * math.Ceil(most/chart.Step(most))
	for i, s := range r.scenes {
		x0, y0 := float64(left+i%2*(wide+gap)), float64(top+i/2*(high+gap))
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f">%s</text>`+"\n", x0, y0-6, s)
		for y := 0.0; y <= 50; y += 10 {
			line := y0 + high - y/50*high
			fmt.Fprintf(&b, `<path d="M%.0f %.1fh%d" stroke="#ddd"/><text x="%.0f" y="%.1f" text-anchor="end">%.5g</text>`+"\n",
				x0, line, wide, x0-4, line+4, 1-math.Pow(10, -y/10))
		}
		for x := 0.0; x <= most; x += chart.Step(most) {
			fmt.Fprintf(&b, `<text x="%.1f" y="%.0f" text-anchor="middle">%g</text>`+"\n", x0+x/most*wide, y0+high+14, x/1000)
		}
		for _, p := range products {
			var points []figures
			for _, rate := range r.rates {
				if list := r.results[measured{s, p.name, rate}]; len(list) > 0 && middle(list).scored > 0 {
					points = append(points, middle(list))
				}
			}
			slices.SortFunc(points, func(a, b figures) int { return cmp.Compare(a.rate, b.rate) })
			path, pen := "", "M"
			for _, f := range points {
				x, y := x0+f.rate/most*wide, y0+high-dB(f.ssim)/50*high
				path += fmt.Sprintf("%s%.1f %.1f", pen, x, y)
				pen = "L"
				fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, x, y, p.color)
			}
			fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", path, p.color)
		}
	}
	bottom := top + rows*(high+gap)
	for i, p := range products {
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", left+i%4*230, bottom+i/4*18, p.color, p.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
