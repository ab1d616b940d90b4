package simulate

import (
	"fmt"
	"io"
	"math"
	"time"

	"wavryhost/adapt/chart"
)

var flowColors = []string{chart.Blue, chart.Red, chart.Green, chart.Pink, chart.Orange}

// DrawSVG draws a run: the capacity of the first link, each flow's target and what it sent, the queue that its packets
// met, and the first flow's quality states.
func (r *Result) DrawSVG(w io.Writer) error {
	n := int(r.Case.Length / chart.Grain)
	capacity := chart.NewLine("capacity", chart.Gray, n)
	for i := range n {
		from := time.Duration(i) * chart.Grain
		capacity.Y[i] = r.Case.Links[0].Capacity.Bits(from, from+chart.Grain, math.Inf(1)) / chart.Grain.Seconds() / 1e6
	}
	rates, queues := []chart.Line{capacity}, []chart.Line{}
	for k, f := range r.Flows {
		color := flowColors[k%len(flowColors)]
		target := chart.NewLine(fmt.Sprintf("target %d", k+1), color, n)
		sent := chart.Line{Name: fmt.Sprintf("sent %d", k+1), Color: color + chart.Pale, Y: make([]float64, n)}
		queue := chart.Line{Name: fmt.Sprintf("longest wait %d", k+1), Color: color, Y: make([]float64, n)}
		for _, t := range f.Targets {
			target.Y[min(n-1, int(t.At/chart.Grain))] = float64(t.Estimate) / 1e6
		}
		for _, p := range f.Packets {
			i := min(n-1, int(p.Sent/chart.Grain))
			sent.Y[i] += float64(p.Size) * 8 / chart.Grain.Seconds() / 1e6
			queue.Y[i] = max(queue.Y[i], p.Queue.Seconds()*1000)
		}
		rates = append(rates, target, sent)
		queues = append(queues, queue)
	}
	c := chart.Chart{
		Title: r.Case.Name + ": " + r.Case.About, Length: r.Case.Length,
		Panels: []chart.Panel{{Unit: "Mbit/s", Lines: rates}, {Unit: "ms", Lines: queues}},
	}
	for i, t := range r.Flows[0].Targets {
		if i == 0 || t.State != r.Flows[0].Targets[i-1].State {
			c.States = append(c.States, chart.Span{At: t.At, State: t.State})
		}
	}
	return c.WriteSVG(w)
}
