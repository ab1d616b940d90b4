package adapt

import (
	"fmt"

	"wavryhost/adapt/encoder"
)

// Price is what a bitrate change costs at the encoder in use.
type Price = encoder.Price

// The prices; see package encoder.
const (
	PriceFree     = encoder.PriceFree
	PriceKeyframe = encoder.PriceKeyframe
	PriceReopen   = encoder.PriceReopen
)

// Aggressiveness is what an operator prefers where the network makes him choose.
type Aggressiveness uint8

// The choices.
const (
	// Balanced suits work: short queues, most of the capacity.
	Balanced Aggressiveness = iota
	// Latency gives up bitrate for the shortest queues.
	Latency
	// Quality accepts some more queue and competes harder for bitrate.
	Quality
)

// AggressivenessNames are how configuration names them.
func AggressivenessNames() []string { return []string{"balanced", "latency", "quality"} }

func (a Aggressiveness) String() string {
	if names := AggressivenessNames(); int(a) < len(names) {
		return names[a]
	}
	return fmt.Sprintf("aggressiveness(%d)", uint8(a))
}

// Config is what an operator and the stage ask of a controller. Rates are in bits per second.
type Config struct {
	// Min and Max bound the encoder's bitrate. They default to 150 kbit/s and 20 Mbit/s.
	Min, Max int
	// Start is the bitrate to begin with. It defaults to 1 Mbit/s, held within Min and Max.
	Start int
	// FPS is the frame rate asked for. It defaults to 60.
	FPS int
	// Width and Height are the picture's size in pixels. They default to 1280x720.
	Width, Height int
	// Price is the encoder's.
	Price Price
	// Aggressiveness is what to prefer where the network makes one choose.
	Aggressiveness Aggressiveness
	// Fixed, when not 0, is the encoder's bitrate whatever the network does, within Min and Max: adaptation is
	// bypassed, and only a viewer that says nothing more stops the stream.
	Fixed int
}

// WithDefaults returns c with zero fields filled in.
func (c Config) WithDefaults() Config {
	fill := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	fill(&c.Min, 150_000)
	fill(&c.Max, 20_000_000)
	fill(&c.Start, min(max(1_000_000, c.Min), c.Max))
	fill(&c.FPS, 60)
	fill(&c.Width, 1280)
	fill(&c.Height, 720)
	return c
}

// Validate returns an error that names the first field that cannot work. Defaults are taken into account.
func (c Config) Validate() error {
	c = c.WithDefaults()
	switch {
	case c.Min < 10_000:
		return fmt.Errorf("adapt: lowest bitrate %d is under 10000 bits per second", c.Min)
	case c.Max < c.Min:
		return fmt.Errorf("adapt: highest bitrate %d is under the lowest, %d", c.Max, c.Min)
	case c.Start < c.Min || c.Start > c.Max:
		return fmt.Errorf("adapt: first bitrate %d is not from %d to %d", c.Start, c.Min, c.Max)
	case c.FPS < 1 || c.FPS > 240:
		return fmt.Errorf("adapt: frame rate %d is not from 1 to 240", c.FPS)
	case c.Width < 16 || c.Height < 16:
		return fmt.Errorf("adapt: picture size %dx%d is under 16x16", c.Width, c.Height)
	case c.Aggressiveness > Quality:
		return fmt.Errorf("adapt: aggressiveness %d is unknown", c.Aggressiveness)
	case c.Fixed != 0 && (c.Fixed < c.Min || c.Fixed > c.Max):
		return fmt.Errorf("adapt: fixed bitrate %d is not from %d to %d", c.Fixed, c.Min, c.Max)
	case c.Price > PriceReopen:
		return fmt.Errorf("adapt: price %d is unknown", c.Price)
	}
	return nil
}
