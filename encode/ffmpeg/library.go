package ffmpeg

// Library is a library of codecs or pictures that this program is linked with.
type Library struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}
