package monitoring

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"wavryhost/adapt/chart"
)

// Picture is a dashboard with data, for documents.
type Picture struct {
	Dashboard Dashboard
	// Made says when and with what the data were made.
	Made string
	// Data has the series of each query.
	Data map[Query][]Series
	// Every is the time between two values of a series, and Length the time from the left to the right of a panel.
	Every, Length time.Duration
	Marks         []Mark
}

// Series is one curve: a value for each Every, NaN for none.
type Series struct {
	Legend string
	Values []float64
}

// Mark is something that happened. Panels have its number, the head of the picture has the text.
type Mark struct {
	At   time.Duration
	Text string
}

// Sizes in pixels. A plot is the part of a panel with curves.
const (
	pageWidth, pageMargin   = 1080, 16
	pictureGap              = 10
	plotLeft, plotTop       = 44, 34
	plotRight, plotHeight   = 20, 110
	legendLine, letterWidth = 15, 6.6
	numberPanelHeight       = 84
)

// noData is in a panel without series.
const noData = "no data"

// colors of curves. Further series, the lowest ones, are not drawn.
var colors = []string{
	chart.Blue, chart.Red, chart.Green, chart.Orange, chart.Pink, "#56b4e9", "#000000", chart.Gray,
}

// WriteSVG draws the picture.
func (p *Picture) WriteSVG(w io.Writer) error {
	var body strings.Builder
	text := func(x, y float64, style, s string) {
		fmt.Fprintf(&body, `<text x="%.0f" y="%.0f" %s>%s</text>`+"\n", x, y, style, html.EscapeString(s))
	}
	text(pageMargin, 28, `font-size="18" font-weight="bold"`, p.Dashboard.Title)
	text(pageMargin, 48, `fill="#555"`, p.Dashboard.Description)
	text(pageMargin, 66, `fill="#555"`, p.Made)
	y := 84.0
	for _, line := range p.markLines() {
		text(pageMargin, y, `fill="#555"`, line)
		y += legendLine
	}
	for _, r := range p.Dashboard.Rows {
		y += 20
		text(pageMargin, y, `font-size="15" font-weight="bold"`, r.Title)
		y += 8
		for panels := range slices.Chunk(r.Panels, r.columns()) {
			wide := float64(pageWidth-2*pageMargin-pictureGap*(r.columns()-1)) / float64(r.columns())
			high := 0.0
			for _, panel := range panels {
				high = max(high, p.height(panel, wide))
			}
			for i, panel := range panels {
				p.panel(&body, box{pageMargin + float64(i)*(wide+pictureGap), y, wide, high}, panel)
			}
			y += high + pictureGap
		}
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%.0f" font-family="sans-serif" `+
		`font-size="12">`+"\n"+`<rect width="100%%" height="100%%" fill="#fff"/>`+"\n%s</svg>\n",
		pageWidth, y+pageMargin, body.String())
	return err
}

// markLines returns the texts of the marks with their numbers, in lines as wide as the page.
func (p *Picture) markLines() []string {
	var lines []string
	for i, m := range p.Marks {
		s := fmt.Sprintf("%d: %s.", i+1, m.Text)
		if n := len(lines) - 1; n >= 0 && textWidth(lines[n]+s) < pageWidth-3*pageMargin {
			lines[n] += "  " + s
		} else {
			lines = append(lines, s)
		}
	}
	return lines
}

type box struct{ x, y, w, h float64 }

// curves returns the series of a panel that are worth a curve, and a word about the others.
func (p *Picture) curves(panel Panel) (shown []Series, others string) {
	var all []Series
	zero := 0
	for _, q := range panel.Queries {
		all = append(all, p.Data[q]...)
	}
	for _, s := range all {
		if s.most() > 0 {
			shown = append(shown, s)
		} else if s.Legend != "" { // "or vector(0)" has no labels
			zero++
		}
	}
	if len(shown) == 0 && len(all) > 0 {
		one := all[0]
		if zero != 1 {
			one.Legend = fmt.Sprintf("all %d", zero)
		}
		if zero == 0 {
			one.Legend = "none"
		}
		return []Series{one}, ""
	}
	if low := len(shown) - len(colors); low > 0 {
		slices.SortStableFunc(shown, func(a, b Series) int { return cmp.Compare(b.most(), a.most()) })
		return shown[:len(colors)], fmt.Sprintf("(%d more)", low+zero)
	}
	if zero > 0 {
		others = fmt.Sprintf("(%d more: 0)", zero)
	}
	return shown, others
}

func (s Series) most() float64 {
	most := 0.0
	for _, y := range s.Values {
		if !math.IsNaN(y) {
			most = max(most, y)
		}
	}
	return most
}

// newest returns the last value that is one.
func (s Series) newest() float64 {
	for _, y := range slices.Backward(s.Values) {
		if !math.IsNaN(y) {
			return y
		}
	}
	return math.NaN()
}

// item is an entry of a legend.
type item struct {
	x, y  float64
	text  string
	color string
}

// legend places the entries of a panel's legend, from its left upper corner.
func (p *Picture) legend(panel Panel, wide float64) (items []item, lines int) {
	shown, others := p.curves(panel)
	x, y := 0.0, 0.0
	add := func(it item, swatch float64) {
		w := swatch + textWidth(it.text) + 12
		if x > 0 && x+w > wide-2*plotRight {
			x, y = 0, y+legendLine
		}
		it.x, it.y = x, y
		x += w
		items = append(items, it)
	}
	for i, s := range shown {
		add(item{text: s.Legend, color: colors[i]}, 18)
	}
	if others != "" {
		add(item{text: others}, 0)
	}
	return items, int(y/legendLine) + 1
}

// height returns the height of a panel with its legend.
func (p *Picture) height(panel Panel, wide float64) float64 {
	if panel.Single {
		return numberPanelHeight
	}
	_, lines := p.legend(panel, wide)
	return plotTop + plotHeight + 22 + float64(lines)*legendLine + 6
}

func (p *Picture) panel(b *strings.Builder, at box, panel Panel) {
	shown, _ := p.curves(panel)
	most := 0.0
	for _, s := range shown {
		if panel.Single {
			most = max(most, s.newest())
		} else {
			most = max(most, s.most())
		}
	}
	factor, unit := scale(panel.Unit, most)
	fmt.Fprintf(b, `<rect x="%.0f" y="%.0f" width="%.0f" height="%.0f" fill="none" stroke="#ccc"/>`+
		`<text x="%.0f" y="%.0f" font-weight="bold">%s</text>`+
		`<text x="%.0f" y="%.0f" text-anchor="end" fill="#555">%s</text>`+"\n",
		at.x, at.y, at.w, at.h, at.x+10, at.y+18, html.EscapeString(panel.Title),
		at.x+at.w-plotRight, at.y+18, html.EscapeString(unit))
	switch {
	case len(shown) == 0:
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f" fill="#555">%s</text>`+"\n", at.x+10, at.y+60, noData)
	case panel.Single:
		numbers(b, at, shown, factor)
	default:
		p.plot(b, at, panel, shown, factor, most*factor)
	}
}

// numbers writes the newest values of series beside each other.
func numbers(b *strings.Builder, at box, shown []Series, factor float64) {
	wide := (at.w - 20) / float64(len(shown))
	for i, s := range shown {
		x := at.x + 10 + float64(i)*wide
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f" font-size="24" fill="%s">%.3g</text>`+
			`<text x="%.0f" y="%.0f" fill="#555">%s</text>`+"\n",
			x, at.y+52, colors[i], s.newest()*factor, x, at.y+72, html.EscapeString(s.Legend))
	}
}

// plot draws curves over time, from 0 to the largest value, with a legend below.
func (p *Picture) plot(b *strings.Builder, at box, panel Panel, shown []Series, factor, most float64) {
	left, top, wide := at.x+plotLeft, at.y+plotTop, at.w-plotLeft-plotRight
	step := chart.Step(most)
	most = max(step, math.Ceil(most/step-1e-9)*step)
	height := func(y float64) float64 { return top + plotHeight - y/most*plotHeight }
	across := func(t time.Duration) float64 { return left + t.Seconds()/max(p.Length, p.Every).Seconds()*wide }
	for i := 0.0; i*step <= most+step/2; i++ {
		fmt.Fprintf(b, `<path d="M%.0f %.1fh%.0f" stroke="#ddd"/>`+
			`<text x="%.0f" y="%.1f" text-anchor="end" font-size="11">%.6g</text>`+"\n",
			left, height(i*step), wide, left-6, height(i*step)+4, i*step)
	}
	for m := time.Duration(0); m <= p.Length; m += time.Minute {
		label := fmt.Sprint(m.Minutes())
		if m+time.Minute > p.Length {
			label += " min"
		}
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f" text-anchor="middle" font-size="11">%s</text>`+"\n",
			across(m), top+plotHeight+15, label)
	}
	for i, m := range p.Marks {
		fmt.Fprintf(b, `<path d="M%.1f %.0fv%d" stroke="#999" stroke-dasharray="1 3"/>`+
			`<text x="%.1f" y="%.0f" text-anchor="middle" font-size="9" fill="#555">%d</text>`+"\n",
			across(m.At), top, plotHeight, across(m.At), top-2, i+1)
	}
	for i, s := range shown {
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", chart.Curve(s.Values,
			func(i int, y float64) (float64, float64) {
				return across(time.Duration(i) * p.Every), height(y * factor)
			}), colors[i])
	}
	items, _ := p.legend(panel, at.w)
	for _, it := range items {
		x, y := at.x+plotRight+it.x, top+plotHeight+36+it.y
		if it.color != "" {
			fmt.Fprintf(b, `<path d="M%.0f %.0fh12" stroke="%s" stroke-width="3"/>`, x, y-4, it.color)
			x += 16
		}
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f" font-size="11">%s</text>`+"\n", x, y, html.EscapeString(it.text))
	}
}
