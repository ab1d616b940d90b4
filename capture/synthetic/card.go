package synthetic

import (
	"fmt"
	"image"
	"math"
	"time"
)

// The colors of the card.
const (
	black  pixel = 0x000000
	white  pixel = 0xffffff
	ground pixel = 0x141a22
	grid   pixel = 0x222b36
	faint  pixel = 0x7f8c9a
	bright pixel = 0xe6edf3
	accent pixel = 0x3fb6a8
	warm   pixel = 0xf2a65a
)

// card draws the test card: a background that never changes, and a few moving parts. Besides the code and the clock,
// these depend only on the frame's number.
type card struct {
	width, height, fps int
	motion             Motion
	background         canvas
	texture            canvas // the moving texture of the panel, periodic

	strip, panel, clock, count, track image.Rectangle
	centre                            image.Point // of the ring
	radius, ball                      float64
	scale                             int // of the large text

	// Scratch memory, so that drawing does not allocate.
	text [32]byte
	bits [codeBytes]byte
}

// The moving parts of a card, in drawing order. The first two cover their rectangles completely.
const (
	partStrip = iota
	partPanel
	partClock
	partCount
	partBall
	partBlock
	parts
)

// layout has the positions of the moving parts of one frame. Parts that the card lacks are empty.
type layout [parts]image.Rectangle

func newCard(cfg Config) *card {
	w, h := cfg.Width, cfg.Height
	// at returns a rectangle from the left margin to a number of hundredths of the width, between rows of the code's
	// grid.
	at := func(x, y0, y1 int) image.Rectangle {
		return image.Rect(w/20, y0*h/CodeGrid, x*w/100, y1*h/CodeGrid)
	}
	k := &card{
		width: w, height: h, fps: cfg.FPS, motion: cfg.Motion, background: newCanvas(w, h),
		strip:  image.Rect(0, 0, w, CodeRows*h/CodeGrid),
		centre: image.Pt(80*w/100, 17*h/CodeGrid),
		radius: min(0.14*float64(w), 7.5/CodeGrid*float64(h)),
		scale:  max(1, min(h/144, w/200)),
	}
	k.ball = max(k.radius/9, 2)
	size := textSize(12, k.scale)
	line := at(95, CodeRows, 8)
	line.Min.Y += 2 * k.scale
	k.clock = image.Rectangle{Max: size}.Add(line.Min)
	k.count = image.Rectangle{Max: size}.Add(image.Pt(line.Max.X-size.X, line.Min.Y))
	k.drawGround()
	switch cfg.Motion {
	case Scroll:
		k.panel = at(62, 8, 34)
		k.texture = lines(k.panel.Dx(), max(1, k.scale/2))
		k.drawRing()
	case Full:
		k.panel = image.Rect(0, 8*h/CodeGrid, w, h)
		k.texture = waves(w)
	case Busy:
		k.panel = image.Rect(0, 8*h/CodeGrid, w, h)
		k.texture = grain(waves(w + waveSize))
	default:
		k.track = at(95, 29, 32)
		k.drawPatterns(at(62, 8, 18), at(62, 18, 21), at(62, 22, 26))
		k.background.fill(k.track, grid)
		k.drawRing()
	}
	return k
}

// drawGround draws what every card has: a grid, and a line that names the card.
func (k *card) drawGround() {
	b := &k.background
	b.fill(b.bounds(), ground)
	step := max(k.height/18, 4)
	for x := step; x < k.width; x += step {
		b.fill(image.Rect(x, 0, x+1, k.height), grid)
	}
	for y := k.strip.Max.Y; y < k.height; y += step {
		b.fill(image.Rect(0, y, k.width, y+1), grid)
	}
	title := fmt.Sprintf("wavry-host  synthetic  %dx%d  %d fps  time in utc", k.width, k.height, k.fps)
	b.text(image.Pt(k.clock.Min.X, k.clock.Max.Y+2*k.scale), []byte(title), max(1, k.scale*2/5), faint)
}

// drawPatterns draws color bars, a gray ramp, and stripes that show the sharpness of the picture.
func (k *card) drawPatterns(bars, ramp, stripes image.Rectangle) {
	b := &k.background
	colours := [8]pixel{0xbfbfbf, 0xbfbf00, 0x00bfbf, 0x00bf00, 0xbf00bf, 0xbf0000, 0x0000bf, black}
	for i, colour := range colours {
		b.fill(slice(bars, i, len(colours)), colour)
	}
	for i := range 16 {
		b.fill(slice(ramp, i, 16), mix(black, white, float64(i)/15))
	}
	for i, pitch := range [4]int{1, 2, 3, 4} {
		field := slice(stripes, i, 4)
		for n := 0; n*pitch < field.Dx(); n++ {
			colour := black
			if n%2 == 1 {
				colour = white
			}
			x := field.Min.X + n*pitch
			b.fill(image.Rect(x, field.Min.Y, x+pitch, field.Max.Y).Intersect(field), colour)
		}
	}
}

// slice returns the n-th of equal parts of a rectangle, side by side.
func slice(r image.Rectangle, n, of int) image.Rectangle {
	return image.Rect(r.Min.X+n*r.Dx()/of, r.Min.Y, r.Min.X+(n+1)*r.Dx()/of, r.Max.Y)
}

func (k *card) drawRing() {
	x, y := float64(k.centre.X), float64(k.centre.Y)
	k.background.ring(x, y, k.radius, max(k.radius/40, 1), faint)
	k.background.ring(x, y, k.radius*0.6, max(k.radius/80, 1), grid)
	for i := range 12 {
		sin, cos := math.Sincos(float64(i) * math.Pi / 6)
		k.background.disc(x+0.8*k.radius*cos, y+0.8*k.radius*sin, max(k.radius/60, 1), faint)
	}
}

// lines returns a texture for scrolling: 64 lines of words.
func lines(width, scale int) canvas {
	const rows = 64
	pitch := (glyphHeight + 4) * scale
	c := newCanvas(width, rows*pitch)
	c.fill(c.bounds(), 0x0c1016)
	words := [...]string{
		"capture", "the", "display", "frame", "encode", "0x7f", "a", "bitrate", "pace", "and", "send", "=", "42", "viewer",
		"of", "keyframe", "(delay)", "loss", "12:30", "adapt", "quality", "to", "network", "1.5", "rtt",
	}
	state := uint32(1)
	for row := range rows {
		x := 2 * scale
		for {
			state = state*1664525 + 1013904223 // Numerical Recipes' generator; any fixed sequence would do
			word := words[state>>16%uint32(len(words))]
			size := textSize(len(word), scale)
			if x+size.X > width || state>>28 == 0 {
				break
			}
			colour := [4]pixel{bright, bright, accent, warm}[state>>13&3]
			c.text(image.Pt(x, row*pitch+2*scale), []byte(word), scale, colour)
			x += size.X + glyphPitch*scale
		}
	}
	return c
}

// waveSize is the period of the waves in both directions, in pixels.
const waveSize = 256

// waves returns a texture for a picture in which every pixel moves: soft colors with a fine grain.
func waves(width int) canvas {
	c := newCanvas(width+waveSize, waveSize)
	for y := range waveSize {
		for x := range c.width {
			sx, cx := math.Sincos(float64(x%waveSize) * 2 * math.Pi / waveSize)
			sy, cy := math.Sincos(float64(y) * 2 * math.Pi / waveSize)
			p := mix(mix(ground, accent, 0.5+0.5*sx*cy), mix(warm, ground, 0.5+0.5*cx*sy), 0.5+0.5*sx*sy)
			if (x%waveSize/8+y/8)%4 == 0 {
				p = mix(p, white, 0.15)
			}
			c.set(x, y, p)
		}
	}
	return c
}

// grainLevels is the strength of the grain, of 255 levels. A picture of few bits shows none of it, and a good one needs
// about 20 Mbit/s at 1280x720 and 30 frames per second.
const grainLevels = 10

// grain adds noise to a texture, the same each time.
func grain(c canvas) canvas {
	state := uint32(1)
	for y := range c.height {
		for x := range c.width {
			state = state*1664525 + 1013904223 // as in lines
			p := mix(c.at(x, y), [2]pixel{black, white}[state>>31], float64(state>>24&0x7f)/0x7f*grainLevels/255*2)
			c.set(x, y, p)
		}
	}
	return c
}

// scatter returns a number below n that looks random (SplitMix64).
func scatter(x uint64, n int) int {
	x *= 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) % uint64(n))
}

// seconds returns the time of a frame since the first one, by its number.
func (k *card) seconds(n uint64) float64 { return float64(n-1) / float64(k.fps) }

// ballAt returns the center of the ball, which goes around in four seconds.
func (k *card) ballAt(n uint64) (x, y float64) {
	sin, cos := math.Sincos(k.seconds(n)*math.Pi/2 - math.Pi/2)
	return float64(k.centre.X) + k.radius*cos, float64(k.centre.Y) + k.radius*sin
}

// layout returns the positions of the moving parts of a frame.
func (k *card) layout(n uint64) (l layout) {
	l[partStrip], l[partPanel], l[partClock], l[partCount] = k.strip, k.panel, k.clock, k.count
	if k.motion != Full && k.motion != Busy {
		x, y := k.ballAt(n)
		l[partBall] = discBounds(x, y, k.ball).Intersect(k.background.bounds())
	}
	if !k.track.Empty() {
		// The block goes back and forth in four seconds.
		phase := math.Mod(k.seconds(n), 4) / 2
		if phase > 1 {
			phase = 2 - phase
		}
		width := k.track.Dx() / 12
		x := k.track.Min.X + int(phase*float64(k.track.Dx()-width))
		l[partBlock] = image.Rect(x, k.track.Min.Y, x+width, k.track.Max.Y)
	}
	return l
}

// erase removes the moving parts of a frame, except where drawing another frame covers them anyway.
func (k *card) erase(c *canvas, n uint64) {
	l := k.layout(n)
	for _, r := range l[partClock:] {
		c.restore(&k.background, r)
	}
}

// draw draws the moving parts of a frame over the background.
func (k *card) draw(c *canvas, n uint64, at time.Time) {
	l := k.layout(n)
	Code{Frame: n, Time: at}.draw(c, &k.bits)
	k.drawPanel(c, n)
	c.text(l[partClock].Min, at.UTC().AppendFormat(k.text[:0], "15:04:05.000"), k.scale, bright)
	c.text(l[partCount].Min, k.countText(n), k.scale, accent)
	if k.motion != Full && k.motion != Busy {
		x, y := k.ballAt(n)
		c.disc(x, y, k.ball, warm)
	}
	c.fill(l[partBlock], accent)
}

// countText returns the number of the frame in six digits.
func (k *card) countText(n uint64) []byte {
	s := append(k.text[:0], "frame 000000"...)
	for i := len(s) - 1; n > 0 && s[i] != ' '; i-- {
		s[i], n = byte('0'+n%10), n/10
	}
	return s
}

// drawPanel moves the texture through the panel.
func (k *card) drawPanel(c *canvas, n uint64) {
	if k.panel.Empty() {
		return
	}
	// The speeds are in pixels per second at a height of 720.
	distance := k.seconds(n) * float64(k.height) / 720
	left, top := 0, int(distance*120)
	if k.motion == Full || k.motion == Busy {
		left, top = int(distance*180)%waveSize, int(distance*60)
	}
	for y := k.panel.Min.Y; y < k.panel.Max.Y; y++ {
		line, stray := (y-k.panel.Min.Y+top)%k.texture.height, 0
		if k.motion == Busy { // each line moves differently, so that the grain cannot be predicted, and the waves can
			stray = scatter(n*uint64(k.height)+uint64(y), 8)
		}
		copy(c.row(k.panel, y), k.texture.pix[line*k.texture.stride+(left+stray)*4:])
	}
}
