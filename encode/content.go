package encode

import "fmt"

// Content is the kind of content of a picture.
type Content uint8

// The kinds.
const (
	ContentUnknown Content = iota
	ContentText            // flat areas with sharp edges: windows, text, drawings
	ContentMixed           // text beside photographs or films
	ContentFilm            // photographs and films
)

func (c Content) String() string {
	switch c {
	case ContentUnknown:
		return "unknown"
	case ContentText:
		return "text"
	case ContentMixed:
		return "mixed"
	case ContentFilm:
		return "film"
	default:
		return fmt.Sprintf("content(%d)", uint8(c))
	}
}

// ContentOptions are options for a kind of content.
type ContentOptions struct {
	Content Content
	// Options are named as the encoder's library names them. They apply while the encoder is open.
	Options []Option
}

// OptionsFor returns the options for a kind of content, or none if the encoder treats all alike.
func (p Profile) OptionsFor(c Content) []Option {
	for _, o := range p.Content {
		if o.Content == c {
			return o.Options
		}
	}
	return nil
}
