package simulate

import (
	"fmt"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/pacing"
)

// Case is one simulation.
type Case struct {
	Name string
	// About says what it shows, in a line.
	About  string
	Length time.Duration
	Links  []Link
	Flows  []Flow
	TCP    []TCP
	CBR    []CBR
	Gates  []Gate
	// Nightly cases are left out of make test.
	Nightly bool
	// Vary, when set, makes what is played with a seed out of the case: what must hold at any moment is tried at
	// many.
	Vary func(c Case, seed uint64) Case
}

// New makes a controller.
type New func(adapt.Config) (adapt.Controller, error)

// Own makes the controller of this project.
func Own(cfg adapt.Config) (adapt.Controller, error) {
	l, err := adapt.New(cfg)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Run plays a case with a seed.
func Run(c Case, seed uint64, controller New) (*Result, error) {
	return play(c, seed, controller, false)
}

// RunInStep plays a case as fast as time passes, for controllers that read the machine's clock. In a bubble of
// testing/synctest that takes no longer than Run.
func RunInStep(c Case, seed uint64, controller New) (*Result, error) {
	return play(c, seed, controller, true)
}

func play(c Case, seed uint64, controller New, inStep bool) (*Result, error) {
	return playWatched(c, seed, controller, inStep, nil)
}

// playWatched plays a case; watch is called before it begins.
func playWatched(c Case, seed uint64, controller New, inStep bool, watch func(*world, []*tcp)) (*Result, error) {
	if c.Vary != nil {
		c = c.Vary(c, seed)
	}
	w := &world{random: newRandom(seed), seed: seed, inStep: inStep}
	links := make([]*link, len(c.Links))
	for i, l := range c.Links {
		links[i] = newLink(l, w)
	}
	route := func(indices []int) []*link {
		r := make([]*link, len(indices))
		for i, n := range indices {
			r[i] = links[n]
		}
		return r
	}
	result := &Result{Case: c}
	flow := 0 // counts all, for queues that tell them apart
	for i, f := range c.Flows {
		ctl, err := controller(f.Config)
		if err != nil {
			return nil, fmt.Errorf("simulate: case %s, flow %d: %w", c.Name, i, err)
		}
		r := &FlowResult{}
		result.Flows = append(result.Flows, r)
		flow++
		m := &media{
			index: i, flow: flow, Flow: f, w: w, controller: ctl, forward: route(f.Forward), back: route(f.Back), result: r,
			shares: pacing.NewShares(), rate: 0.955 * float64(f.Config.WithDefaults().Start),
		}
		w.after(f.Start, m, mediaStart, nil)
	}
	var flows []*tcp
	for _, t := range c.TCP {
		flow++
		one := newTCP(t, flow, w)
		one.forward, one.back = route(t.Forward), route(t.Back)
		flows = append(flows, one)
		w.after(t.Start, one, tcpStart, nil)
	}
	for _, b := range c.CBR {
		flow++
		w.after(b.Start, &cbr{CBR: b, flow: flow, w: w, forward: route(b.Forward)}, 0, nil)
	}
	if watch != nil {
		watch(w, flows)
	}
	w.run(c.Length)
	for _, t := range flows {
		result.TCP = append(result.TCP, t.arrived)
	}
	return result, nil
}
