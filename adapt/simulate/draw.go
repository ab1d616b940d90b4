package simulate

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"wavryhost/adapt"
)

const (
	drawWidth, panelHeight, drawLeft, drawTop = 960, 150, 70, 40
	drawGrain                                 = 250 * time.Millisecond
)

// stateColors are the states' in the strip below the panels: blue to red, told apart without colours by their order.
var stateColors = map[adapt.State]string{
	adapt.Good: "#0072b2", adapt.Constrained: "#56b4e9", adapt.Degraded: "#e69f00", adapt.Critical: "#d55e00", adapt.Stalled: "#000000",
}

var flowColors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"}

// line is one curve.
type line struct {
	name, color string
	y           []float64 // one value for each drawGrain
}

// DrawSVG draws a run: the capacity of the first link, each flow's target and what it sent, the queue that its packets met, and
// the first flow's quality states.
func (r *Result) DrawSVG(w io.Writer) error {
	n := int(r.Case.Length / drawGrain)
	capacity := line{"capacity", "#999999", make([]float64, n)}
	for i := range n {
		capacity.y[i] = r.Case.Links[0].Capacity.Bits(time.Duration(i)*drawGrain, time.Duration(i+1)*drawGrain, math.Inf(1)) / drawGrain.Seconds() / 1e6
	}
	rates, queues := []line{capacity}, []line{}
	for k, f := range r.Flows {
		color := flowColors[k%len(flowColors)]
		target, sent, queue := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range n {
			target[i] = math.NaN()
		}
		for _, t := range f.Targets {
			target[min(n-1, int(t.At/drawGrain))] = float64(t.Estimate) / 1e6
		}
		for _, p := range f.Packets {
			i := min(n-1, int(p.Sent/drawGrain))
			sent[i] += float64(p.Size) * 8 / drawGrain.Seconds() / 1e6
			queue[i] = max(queue[i], p.Queue.Seconds()*1000)
		}
		rates = append(rates, line{fmt.Sprintf("target %d", k+1), color, target}, line{fmt.Sprintf("sent %d", k+1), color + "66", sent})
		queues = append(queues, line{fmt.Sprintf("longest wait %d", k+1), color, queue})
	}
	var b strings.Builder
	height := drawTop + 2*(panelHeight+40) + 50
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", drawWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="20" font-size="15">%s: %s</text>`+"\n",
		drawLeft, r.Case.Name, strings.ReplaceAll(r.Case.About, "&", "&amp;"))
	panel(&b, drawTop, "Mbit/s", rates, n)
	panel(&b, drawTop+panelHeight+40, "ms", queues, n)
	r.strip(&b, drawTop+2*(panelHeight+40))
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// panel draws curves over time, from 0 to the largest value.
func panel(b *strings.Builder, top int, unit string, lines []line, n int) {
	most := 0.0
	for _, l := range lines {
		for _, y := range l.y {
			if !math.IsNaN(y) {
				most = max(most, y)
			}
		}
	}
	step := niceStep(most)
	most = max(step, math.Ceil(most/step)*step)
	width := drawWidth - drawLeft - 20
	for y := 0.0; y <= most; y += step {
		at := float64(top+panelHeight) - y/most*panelHeight
		fmt.Fprintf(b, `<path d="M%d %.1fh%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			drawLeft, at, width, drawLeft-6, at+4, y)
	}
	fmt.Fprintf(b, `<text x="8" y="%d">%s</text>`+"\n", top+12, unit)
	seconds := float64(n) * drawGrain.Seconds()
	for x, grain := 0.0, niceStep(seconds); x <= seconds; x += grain {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%g s</text>`+"\n", drawLeft+x/seconds*float64(width), top+panelHeight+15, x)
	}
	for k, l := range lines {
		var d strings.Builder
		pen := "M"
		for i, y := range l.y {
			if math.IsNaN(y) {
				pen = "M"
				continue
			}
			fmt.Fprintf(&d, "%s%.1f %.1f", pen, drawLeft+float64(i)/float64(n)*float64(width), float64(top+panelHeight)-y/most*panelHeight)
			pen = "L"
		}
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, d.String(), l.color)
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", drawLeft+k*95, top-4, l.color, l.name)
	}
}

// niceStep returns the distance of about five lines up to most: 1, 2 or 5 times a power of ten.
func niceStep(most float64) float64 {
	if most <= 0 {
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

// strip draws the quality states of the first flow.
func (r *Result) strip(b *strings.Builder, top int) {
	width := float64(drawWidth - drawLeft - 20)
	x := func(at time.Duration) float64 { return drawLeft + at.Seconds()/r.Case.Length.Seconds()*width }
	targets := r.Flows[0].Targets
	for i := 0; i < len(targets); {
		k := i
		for k < len(targets) && targets[k].State == targets[i].State {
			k++
		}
		end := r.Case.Length
		if k < len(targets) {
			end = targets[k].At
		}
		fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="14" fill="%s"/>`+"\n",
			x(targets[i].At), top, x(end)-x(targets[i].At), stateColors[targets[i].State])
		i = k
	}
	for i, s := range adapt.States() {
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%v</text>`+"\n", drawLeft+i*95, top+32, stateColors[s], s)
	}
}
