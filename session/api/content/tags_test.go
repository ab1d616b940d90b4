package content

import "testing"

func TestOriginalTags(t *testing.T) {
	for sent, want := range map[string]string{
		``:                 ``,
		`"e1"`:             `"e1"`,
		`W/"e1-br"`:        `"e1"`,
		`"e1-zstd", W/"x"`: `"e1", "x"`,
		`e1-gzip`:          `e1-gzip`, // not a tag
	} {
		if got := OriginalTags(sent); got != want {
			t.Errorf("OriginalTags(%s) = %s; want %s", sent, got, want)
		}
	}
}
