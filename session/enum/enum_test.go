package enum

import (
	"slices"
	"testing"
)

type color uint8

const (
	red color = iota
	green
)

var colors = [...]string{red: "red", green: "green"}

func (c color) String() string { return Name(colors[:], c) }

func TestNameAndAll(t *testing.T) {
	if got := All[color](colors[:]); !slices.Equal(got, []color{red, green}) {
		t.Errorf("all colors are %v; want red and green", got)
	}
	if got, want := color(7).String(), "enum.color(7)"; got != want {
		t.Errorf("a color without a name is %q; want %q", got, want)
	}
}
