// Package chart draws what a controller did over time, as SVG: curves in panels above a strip of the quality states.
package chart

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
	"time"

	"wavryhost/adapt"
)

// Grain is the time of one value of a line.
const Grain = 250 * time.Millisecond

const (
	width, panelHeight, left, top, gap = 960, 150, 70, 40, 40
	right                              = 20
)

// The colors of all charts. Color-blind people can distinguish them.
const (
	Gray   = "#999999"
	Blue   = "#0072b2"
	Red    = "#d55e00"
	Green  = "#009e73"
	Pink   = "#cc79a7"
	Orange = "#e69f00"
	// Pale, after a color, makes it transparent.
	Pale = "66"
)

// stateColors are the colors of the states in the strip, from blue to red. Their order distinguishes them too.
var stateColors = map[adapt.State]string{
	adapt.Good: Blue, adapt.Constrained: "#56b4e9", adapt.Degraded: Orange, adapt.Critical: Red, adapt.Stalled: "#000000",
}

// Line is one curve: a value for each Grain, NaN for none.
type Line struct {
	Name, Color string
	Y           []float64
}

// NewLine returns a line without values.
func NewLine(name, color string, n int) Line {
	l := Line{Name: name, Color: color, Y: make([]float64, n)}
	for i := range l.Y {
		l.Y[i] = math.NaN()
	}
	return l
}

// Panel is a set of lines with one scale.
type Panel struct {
	Unit  string
	Lines []Line
}

// Span is a state that was entered.
type Span struct {
	At    time.Duration
	State adapt.State
}

// Chart is a drawing. Times count from its left end.
type Chart struct {
	Title  string
	Length time.Duration
	Panels []Panel
	// States are the states entered, oldest first.
	States []Span
}

// WriteSVG draws the chart.
func (c *Chart) WriteSVG(w io.Writer) error {
	var b strings.Builder
	height := top + len(c.Panels)*(panelHeight+gap) + 50
	fmt.Fprintf(
		&b,
		`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		width,
		height,
	)
	fmt.Fprintf(
		&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="20" font-size="15">%s</text>`+"\n", left,
		html.EscapeString(c.Title),
	)
	for i, p := range c.Panels {
		c.panel(&b, top+i*(panelHeight+gap), p)
	}
	c.strip(&b, top+len(c.Panels)*(panelHeight+gap))
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// panel draws curves over time, from 0 to the largest value.
func (c *Chart) panel(b *strings.Builder, at int, p Panel) {
	most := 0.0
	for _, l := range p.Lines {
		for _, y := range l.Y {
			if !math.IsNaN(y) {
				most = max(most, y)
			}
		}
	}
	step := Step(most)
	most = max(step, math.Ceil(most/step)*step)
	const wide = width - left - right
	for y := 0.0; y <= most; y += step {
		line := float64(at+panelHeight) - y/most*panelHeight
		fmt.Fprintf(b, `<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			left, line, wide, left-6, line+4, y)
	}
	fmt.Fprintf(b, `<text x="8" y="%d">%s</text>`+"\n", at+12, html.EscapeString(p.Unit))
	seconds := max(c.Length, Grain).Seconds()
	for x, grain := 0.0, Step(seconds); x <= seconds; x += grain {
		fmt.Fprintf(
			b, `<text x="%.1f" y="%d" text-anchor="middle">%g s</text>`+"\n", left+x/seconds*wide, at+panelHeight+15, x,
		)
	}
	for k, l := range p.Lines {
		d := Curve(l.Y, func(i int, y float64) (float64, float64) {
			return left + float64(i)*Grain.Seconds()/seconds*wide, float64(at+panelHeight) - y/most*panelHeight
		})
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, d, l.Color)
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", left+k*110, at-4, l.Color, html.EscapeString(l.Name))
	}
}

// Curve returns the data of an SVG path through the values, with gaps where a value is NaN. place says where the value
// with an index belongs.
func Curve(values []float64, place func(i int, value float64) (x, y float64)) string {
	var d strings.Builder
	pen := "M"
	for i, value := range values {
		if math.IsNaN(value) {
			pen = "M"
			continue
		}
		if pen == "L" && i+1 < len(values) && value == values[i-1] && value == values[i+1] {
			continue // within a level line
		}
		x, y := place(i, value)
		fmt.Fprintf(&d, "%s%.1f %.1f", pen, x, y)
		pen = "L"
	}
	return d.String()
}

// Step returns the distance of about five lines up to most: 1, 2 or 5 times a power of ten.
func Step(most float64) float64 {
	if most <= 0 || math.IsInf(most, 0) {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most/5)))
	for _, f := range []float64{2, 2.5, 2} { // 2, 5, 10
		if most/step <= 6 {
			break
		}
		step *= f
	}
	return step
}

// strip draws the quality states.
func (c *Chart) strip(b *strings.Builder, at int) {
	const wide = width - left - right
	x := func(t time.Duration) float64 { return left + t.Seconds()/max(c.Length, Grain).Seconds()*wide }
	for i, s := range c.States {
		end := c.Length
		if i+1 < len(c.States) {
			end = c.States[i+1].At
		}
		fmt.Fprintf(
			b, `<rect x="%.1f" y="%d" width="%.1f" height="14" fill="%s"/>`+"\n", x(s.At), at, max(0, x(end)-x(s.At)),
			stateColors[s.State],
		)
	}
	for i, s := range adapt.States() {
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%v</text>`+"\n", left+i*95, at+32, stateColors[s], s)
	}
}
