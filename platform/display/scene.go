package display

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"time"
)

// frameTime is the time between two pictures of a moving scene: often enough to show that the display lives, and seldom
// enough to show the cost of an idle display.
const frameTime = 250 * time.Millisecond

// The colors of the scene.
var (
	skyTop    = color.RGBA{0x2b, 0x52, 0x78, 0xff}
	skyBottom = color.RGBA{0x10, 0x1c, 0x2a, 0xff}
	nameTint  = color.RGBA{0x8f, 0xb4, 0xd8, 0xff}
	clockTint = color.RGBA{0xf2, 0xf5, 0xf8, 0xff}
	figure    = color.RGBA{0xf4, 0xa3, 0x40, 0xff}
)

// scene is the picture behind the programs, or instead of them.
type scene struct {
	background, img *image.RGBA
	clock, lane     image.Rectangle // the area of movement
	unit            int             // thickness of a segment
}

// paint shows the scene until ctx or the server ends. It moves only if no program does.
func (v *Virtual) paint(ctx context.Context, moving bool) error {
	c, err := dialX(ctx, fmt.Sprintf("%s/X%d", defaultSocketDir, v.number), v.cookie)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	defer context.AfterFunc(ctx, func() { c.conn.Close() })()
	s := newScene(c.width, c.height)
	pixmap, gc := c.id(), c.id()
	c.request(opCreatePixmap, c.depth, pixmap, c.root, two(c.width, c.height))
	c.request(opCreateGC, 0, gc, c.root, 0)
	c.put(pixmap, gc, s.background, s.background.Rect)
	c.request(opChangeWindowAttributes, 0, c.root, attrBackgroundPixmap, pixmap)
	c.request(opFreePixmap, 0, pixmap)
	c.request(opClearArea, 0, c.root, 0, 0)
	if err := c.flush(); err != nil || !moving {
		return err
	}
	for began := time.Now(); ; {
		now := time.Now()
		s.draw(now, now.Sub(began))
		c.put(c.root, gc, s.img, s.clock)
		c.put(c.root, gc, s.img, s.lane)
		if err := c.flush(); err != nil {
			return err
		}
		if !sleep(ctx, frameTime) {
			return ctx.Err()
		}
	}
}

func newScene(width, height int) *scene {
	bounds := image.Rect(0, 0, width, height)
	s := &scene{background: image.NewRGBA(bounds), img: image.NewRGBA(bounds), unit: max(1, min(width/100, height/50))}
	for y := range height {
		line := image.Rect(0, y, width, y+1)
		draw.Draw(
			s.background, line, image.NewUniform(between(skyTop, skyBottom, float64(y)/float64(height))), image.Point{},
			draw.Src,
		)
	}
	dot := max(1, min(width/320, height/180))
	for y, line := range name {
		for x, char := range line {
			if char == '#' {
				fill(
					s.background, image.Rect(x*dot, y*dot, x*dot+dot, y*dot+dot).Add(image.Pt(10*dot, height-(len(name)+10)*dot)),
					nameTint,
				)
			}
		}
	}
	size := image.Pt(clockUnits*s.unit, digitHeight*s.unit)
	at := image.Pt((width-size.X)/2, height*2/5-size.Y/2)
	s.clock = image.Rectangle{Min: at, Max: at.Add(size)}
	s.lane = image.Rect(s.clock.Min.X, s.clock.Max.Y+3*s.unit, s.clock.Max.X, s.clock.Max.Y+8*s.unit)
	return s
}

// between returns a color between two others, by a fraction.
func between(a, b color.RGBA, t float64) color.RGBA {
	mix := func(x, y uint8) uint8 { return uint8(math.Round(float64(x) + (float64(y)-float64(x))*t)) }
	return color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 0xff}
}

func fill(img *image.RGBA, r image.Rectangle, c color.RGBA) {
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// draw draws the clock, and a figure that crosses its lane and returns in four seconds.
func (s *scene) draw(now time.Time, elapsed time.Duration) {
	draw.Draw(s.img, s.clock, s.background, s.clock.Min, draw.Src)
	draw.Draw(s.img, s.lane, s.background, s.lane.Min, draw.Src)
	at := s.clock.Min
	for _, char := range now.Format("15:04:05") {
		at.X += s.drawDigit(at, char)
	}
	phase := math.Abs(math.Mod(elapsed.Seconds()/4, 2) - 1)
	side := s.lane.Dy()
	corner := s.lane.Min.Add(image.Pt(int((1-phase)*float64(s.lane.Dx()-side)), 0))
	fill(s.img, image.Rectangle{Min: corner, Max: corner.Add(image.Pt(side, side))}, figure)
}

// A digit has seven segments, one unit thick, in a box of 5 by 9 units with one unit of space on both sides. A colon
// takes 3 units.
const (
	digitHeight = 9
	digitPitch  = 7
	colonPitch  = 3
	clockUnits  = 6*digitPitch + 2*colonPitch
)

// segments has their positions in a digit's box, in units.
var segments = [7]image.Rectangle{
	image.Rect(1, 0, 4, 1), image.Rect(4, 1, 5, 4), image.Rect(4, 5, 5, 8), image.Rect(1, 8, 4, 9), // top, right, bottom
	image.Rect(0, 5, 1, 8), image.Rect(0, 1, 1, 4), image.Rect(1, 4, 4, 5), // left, middle
}

// lit has the segments of each digit, the first one in the lowest bit.
var lit = [10]byte{0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f}

// drawDigit draws a digit or a colon, and returns the distance to the next one.
func (s *scene) drawDigit(at image.Point, char rune) int {
	box := func(r image.Rectangle) {
		fill(s.img, image.Rectangle{Min: at.Add(r.Min.Mul(s.unit)), Max: at.Add(r.Max.Mul(s.unit))}, clockTint)
	}
	if char == ':' {
		box(image.Rect(1, 2, 2, 3))
		box(image.Rect(1, 6, 2, 7))
		return colonPitch * s.unit
	}
	for i, r := range segments {
		if lit[char-'0']>>i&1 == 1 {
			box(r.Add(image.Pt(1, 0)))
		}
	}
	return digitPitch * s.unit
}

// name is the greeting: one dot per character.
var name = [...]string{
	"                                    #                  #   ",
	"                                    #                  #   ",
	"#   #  ###  #   # # ##  #   #       # ##   ###   #### #### ",
	"#   #     # #   # ##  # #   #       ##  # #   # #      #   ",
	"# # #  #### #   # #     #   #  ###  #   # #   #  ###   #   ",
	"# # # #   #  # #  #      ####       #   # #   #     #  #  #",
	" # #   ####   #   #         #       #   #  ###  ####    ## ",
	"                            #                              ",
	"                         ###                               ",
}
