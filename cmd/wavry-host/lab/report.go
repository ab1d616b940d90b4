package lab

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/chart"
	"wavryhost/adapt/simulate"
)

// reportVersion is the version of the form of the report. New fields do not change it.
const reportVersion = 1

// The names of the report's files.
const (
	pageFile = "report.html"
	dataFile = "report.json"
)

// Report is the result of all runs.
type Report struct {
	Version int       `json:"version"`
	Made    time.Time `json:"made"`
	Program string    `json:"program"`
	Machine string    `json:"machine"`
	Display string    `json:"display"`
	Size    string    `json:"size"`
	FPS     int       `json:"fps"`
	Seconds float64   `json:"seconds"` // that each viewer watched
	Runs    []Run     `json:"runs"`

	out string
}

func newReport(cfg Config) *Report {
	return &Report{
		Version: reportVersion, Made: time.Now().UTC().Truncate(time.Second), Program: cfg.Version,
		Machine: fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU()),
		Display: cfg.Display, Size: cfg.Size, FPS: cfg.FPS, Seconds: cfg.For.Seconds(), out: cfg.Out,
	}
}

// Worst returns the worst verdict of the runs.
func (r *Report) Worst() Verdict {
	worst := Reached
	for _, one := range r.Runs {
		if one.Verdict == Missed || worst == Reached {
			worst = one.Verdict
		}
	}
	return worst
}

// Summary says in a sentence whether the goals were reached.
func (r *Report) Summary() string {
	counts := map[Verdict]int{}
	for _, one := range r.Runs {
		counts[one.Verdict]++
	}
	var parts []string
	for _, v := range []Verdict{Reached, Missed, Undecided} {
		if counts[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[v], v))
		}
	}
	return "goals on the networks: " + strings.Join(parts, ", ")
}

//go:embed report.html
var pageText string

// Write writes the report as one page and as JSON, and returns the path of the page.
func (r *Report) Write() (string, error) {
	page, err := r.page()
	if err != nil {
		return "", fmt.Errorf("lab: make the report: %w", err)
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("lab: make the report: %w", err)
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(r.out, pageFile)
	if err := os.WriteFile(path, page, 0o644); err != nil { //nolint:gosec // a report
		return "", err
	}
	return path, os.WriteFile(filepath.Join(r.out, dataFile), append(data, '\n'), 0o644) //nolint:gosec // a report
}

// shownRun is a run with its texts for the page.
type shownRun struct {
	Run
	Chart    template.HTML
	Rows     [][2]string
	Links    [][2]string
	Summary  string
	Pictures []shownPicture
}

type shownPicture struct {
	At   string
	Data template.URL
}

// page returns the report as one HTML page without other files.
func (r *Report) page() ([]byte, error) {
	t, err := template.New("report").Funcs(template.FuncMap{
		"seconds": showSeconds, "share": showShare, "bitrate": showBitrate,
		"number":  func(x float64) string { return showNumber(x, "") },
		"mega":    func(bits int) float64 { return float64(bits) / 1e6 },
		"percent": func(x float64) float64 { return 100 * x },
		"good":    func(f Figures) float64 { return f.good() }, "usable": func(f Figures) float64 { return f.usable() },
	}).Parse(pageText)
	if err != nil {
		return nil, err
	}
	data := struct {
		*Report
		Shown []shownRun
	}{Report: r}
	for _, one := range r.Runs {
		svg, err := one.draw()
		if err != nil {
			return nil, err
		}
		s := shownRun{
			Run: one, Chart: template.HTML(svg), Rows: one.Figures.rows(), Summary: one.summary(), //nolint:gosec // our own
			Links: [][2]string{{"to the viewer", showLink(one.Profile.ToViewer)}, {"to the host", showLink(one.Profile.ToHost)}},
		}
		for _, p := range one.Pictures {
			s.Pictures = append(s.Pictures, shownPicture{showSeconds(p.AtSeconds), dataURL(p.JPEG)})
		}
		data.Shown = append(data.Shown, s)
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.Bytes(), err
}

// rows lists the figures with their names.
func (f *Figures) rows() [][2]string {
	return [][2]string{
		{"time to the first picture", showSeconds(f.FirstFrameSeconds)},
		{"watched for", showSeconds(f.WatchedSeconds)},
		{"states", f.shares()},
		{"longest freeze", showSeconds(f.LongestFreezeSeconds)},
		{"freezes, as the browser counts them", fmt.Sprintf("%d, %s in total", f.Freezes, showSeconds(f.FrozenSeconds))},
		{"pictures per second, shown", showNumber(f.FPS, "")},
		{"picture", fmt.Sprintf("%d x %d, %s by %s", f.Width, f.Height, f.Codec, f.Encoder)},
		{"bitrate", showBitrate(f.Bitrate)},
		{"use of the link", showShare(f.CapacityUsed)},
		{"round trip, median", showSeconds(f.RTTSeconds)},
		{"queue on the link, 95 % of the time", showSeconds(f.QueueSeconds)},
		{"queue on the link, longest", showSeconds(f.LongestQueueSeconds)},
		{"packets that the link dropped", fmt.Sprintf("%.2f %%", 100*f.Dropped)},
		{"NACKs and keyframe requests", fmt.Sprintf("%d and %d", f.NACKs, f.KeyframeRequests)},
		{"sessions", fmt.Sprint(f.Sessions)},
		{"path", f.Path},
		{"load of the machine", showNumber(f.Load, " per core")},
	}
}

// shares lists the states with their shares of the time.
func (f *Figures) shares() string {
	var parts []string
	for _, s := range adapt.States() {
		if x := f.Shares[s.String()]; x > 0 {
			parts = append(parts, s.String()+" "+showShare(x))
		}
	}
	return strings.Join(parts, ", ")
}

// states returns the states that the samples entered.
func states(all []Sample) (spans []chart.Span) {
	before := ""
	for _, x := range all {
		if x.Quality == before || x.Quality == "" {
			continue
		}
		before = x.Quality
		for _, s := range adapt.States() {
			if s.String() == x.Quality {
				spans = append(spans, chart.Span{At: time.Duration(x.AtSeconds * float64(time.Second)), State: s})
			}
		}
	}
	return spans
}

// manySteps is the number of steps above which a capacity has a mean that says something.
const manySteps = 20

// showLink describes a direction of a profile.
func showLink(l simulate.Link) string {
	least, most := math.Inf(1), 0.0
	for _, s := range l.Capacity {
		least, most = min(least, s.BitsPerSecond), max(most, s.BitsPerSecond)
	}
	rate := showBitrate(most)
	if n := len(l.Capacity); n > 1 {
		rate = showBitrate(least) + " to " + rate
		if end := l.Capacity[n-1].At; n > manySteps {
			rate = showBitrate(l.Capacity.Bits(0, end, math.Inf(1))/end.Seconds()) + " in the mean, " + rate
		}
	}
	parts := []string{rate, "delay " + l.Delay.String()}
	if l.Jitter > 0 {
		parts = append(parts, "jitter "+l.Jitter.String())
	}
	if l.Bunch[1] > 0 {
		parts = append(parts, fmt.Sprintf("bunches every %v to %v", l.Bunch[0], l.Bunch[1]))
	}
	if l.Loss > 0 {
		loss := fmt.Sprintf("loss %.4g %%", l.Loss*100)
		if l.Burst > 1 {
			loss += fmt.Sprintf(" in bursts of %g", l.Burst)
		}
		parts = append(parts, loss)
	}
	parts = append(parts, fmt.Sprintf("queue %d kB", (l.Room()+500)/1000))
	for name, a := range managements {
		if a == l.AQM && a != simulate.DropTail {
			parts = append(parts, name)
		}
	}
	return strings.Join(parts, ", ")
}

func showSeconds(x float64) string {
	if x < 1 {
		return fmt.Sprintf("%.3g ms", x*1e3)
	}
	return fmt.Sprintf("%.2f s", x)
}

func showShare(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }

func showBitrate(x float64) string { return fmt.Sprintf("%.3g Mbit/s", x/1e6) }

func showNumber(x float64, unit string) string { return fmt.Sprintf("%.3g", x) + unit }

// dataURL returns a picture as an address that contains it.
func dataURL(jpeg []byte) template.URL {
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(jpeg)) //nolint:gosec // our own
}
