package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"wavryhost/adapt"
)

func TestDrawingsAreXML(t *testing.T) {
	gaps := NewLine("gaps & <more>", Red, 8)
	gaps.Y[2], gaps.Y[3], gaps.Y[6] = 1, 2, 3
	for name, c := range map[string]Chart{
		"empty": {},
		"full": {
			Title: `a <title> & "more"`, Length: 2 * time.Second,
			Panels: []Panel{{"Mbit/s", []Line{gaps, {"none", Blue, nil}}}, {"ms", []Line{NewLine("nothing", Gray, 8)}}},
			States: []Span{{0, adapt.Good}, {time.Second, adapt.Stalled}},
		},
	} {
		var b strings.Builder
		if err := c.WriteSVG(&b); err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(strings.NewReader(b.String()))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v in %s", name, err, b.String())
			}
		}
		if strings.Contains(b.String(), "NaN") {
			t.Errorf("%s: a value that is none was drawn: %s", name, b.String())
		}
	}
}

func TestStepsAreRound(t *testing.T) {
	for most, want := range map[float64]float64{0: 1, 1: .2, 4: 1, 10: 2, 60: 10, 61: 20, 250: 50, math.Inf(1): 1} {
		if got := Step(most); math.Abs(got-want) > 1e-9 {
			t.Errorf("up to %v in steps of %v; want %v", most, got, want)
		}
	}
}
