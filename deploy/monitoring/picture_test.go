package monitoring

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// textsOf returns the texts of an SVG, in order.
func textsOf(t *testing.T, svg string) (texts []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("%v in %.300s", err, svg)
		}
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			texts = append(texts, string(text))
		}
	}
}

// lacking returns the first of the dashboard's titles that the texts of a picture lack, in the dashboard's order.
func lacking(d Dashboard, texts []string) string {
	titles := []string{d.Title, d.Description}
	for _, r := range d.Rows {
		titles = append(titles, r.Title)
		for _, p := range r.Panels {
			titles = append(titles, p.Title)
		}
	}
	for _, text := range texts {
		if len(titles) > 0 && text == titles[0] {
			titles = titles[1:]
		}
	}
	if len(titles) > 0 {
		return titles[0]
	}
	return ""
}

// The pictures in the documents are of the dashboards as they are.
func TestPicturesShowTheDashboards(t *testing.T) {
	page, err := os.ReadFile("../../docs/operate/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range Dashboards() {
		svg, err := os.ReadFile("../../docs/operate/dashboards/" + d.Name + ".svg")
		if err != nil {
			t.Fatalf("%v; run: make dashboards", err)
		}
		texts := textsOf(t, string(svg))
		if title := lacking(d, texts); title != "" {
			t.Errorf("the picture of the dashboard %s does not have %q in its place; run: make dashboards", d.Name, title)
		}
		if strings.Contains(string(svg), noData) {
			t.Errorf("a panel in the picture of the dashboard %s has no data", d.Name)
		}
		if !strings.Contains(string(page), "](dashboards/"+d.Name+".svg)") {
			t.Errorf("docs/operate/monitoring.md does not show the dashboard %s", d.Name)
		}
		d.Rows[0].Panels[0].Title = "Renamed"
		if got := lacking(d, texts); got != "Renamed" {
			t.Errorf("a renamed panel of %s: found %q", d.Name, got)
		}
	}
}

// picture draws a dashboard with one panel.
func picture(t *testing.T, panel Panel, list ...Series) []string {
	t.Helper()
	p := Picture{
		Dashboard: Dashboard{Title: `<a> & "b"`, Rows: []Row{{Title: "Row", Panels: []Panel{panel}}}},
		Every:     time.Second, Length: time.Minute, Marks: []Mark{{30 * time.Second, "a viewer joins"}},
		Data: map[Query][]Series{panel.Queries[0]: list},
	}
	var b strings.Builder
	if err := p.WriteSVG(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "NaN") {
		t.Errorf("a value that is none was drawn: %s", b.String())
	}
	return textsOf(t, b.String())
}

func TestPictures(t *testing.T) {
	query := []Query{{"x", "{{x}}"}}
	var many []Series
	for i := range 11 {
		many = append(many, Series{fmt.Sprint("event ", i), []float64{float64(i)}})
	}
	for name, c := range map[string]struct {
		panel  Panel
		series []Series
		want   []string
	}{
		"curves with a gap": {
			Panel{Title: "Round trip", Unit: "s", Queries: query},
			[]Series{{"p50", []float64{.01, math.NaN(), .03}}, {"p95", []float64{.02, .02, .04}}},
			[]string{"Round trip", "ms", "40", "1: a viewer joins.", "p50", "p95"},
		},
		"series that are 0": {
			Panel{Title: "Refused", Unit: "ops", Queries: query},
			[]Series{{"full", []float64{0, 1}}, {"error", []float64{0, 0}}, {"draining", []float64{0, math.NaN()}}},
			[]string{"per s", "full", "(2 more: 0)"},
		},
		"nothing happened": {
			Panel{Title: "Refused", Unit: "ops", Queries: query}, []Series{{"", []float64{0, 0}}}, []string{"none"},
		},
		"too many": {
			Panel{Title: "Events", Unit: "short", Queries: query}, many, []string{"event 10", "event 3", "(3 more)"},
		},
		"nothing of several": {
			Panel{Title: "Refused", Unit: "ops", Queries: query},
			[]Series{{"full", []float64{0}}, {"error", []float64{0}}},
			[]string{"all 2"},
		},
		"no data": {Panel{Title: "Refused", Unit: "ops", Queries: query}, nil, []string{noData}},
		"numbers": {
			Panel{Title: "Memory", Unit: "bytes", Single: true, Queries: query},
			[]Series{{"free", []float64{1, 3 << 30, math.NaN()}}},
			[]string{"GiB", "3", "free"},
		},
	} {
		texts := picture(t, c.panel, c.series...)
		for _, want := range c.want {
			if !strings.Contains("\n"+strings.Join(texts, "\n")+"\n", "\n"+want+"\n") {
				t.Errorf("%s: the picture has %q; want %q", name, texts, want)
			}
		}
	}
}

// The picture has words for each unit of a panel.
func TestUnitsAreKnown(t *testing.T) {
	for _, d := range Dashboards() {
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				if factor, _ := scale(p.Unit, 1); math.IsNaN(factor) {
					t.Errorf("%s, %s: the picture has no words for the unit %s", d.Name, p.Title, p.Unit)
				}
			}
		}
	}
}
