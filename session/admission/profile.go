package admission

import "fmt"

// The bounds of what ParseProfile takes.
const minSide, maxSide, maxFPS = 16, 8192, 240

// ParseProfile reads a profile as "1280x720@30". Its bitrate is that of a moving desktop.
func ParseProfile(text string) (Profile, error) {
	var w, h, fps int
	_, err := fmt.Sscanf(text, "%dx%d@%d", &w, &h, &fps)
	p := NewProfile(w, h, fps)
	if err != nil || p.String() != text {
		return Profile{}, fmt.Errorf("%w: profile %.40q is not WIDTHxHEIGHT@FPS, as "+
			"1280x720@30", ErrBadReservation, text)
	}
	if w < minSide || w > maxSide || h < minSide || h > maxSide || fps < 1 || fps > maxFPS {
		return Profile{}, fmt.Errorf("%w: profile %.40q is not from %dx%[3]d@1 to "+
			"%dx%[4]d@%d", ErrBadReservation, text, minSide, maxSide, maxFPS)
	}
	return p, nil
}
