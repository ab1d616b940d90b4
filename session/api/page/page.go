// Package page serves the viewer page, whose files are beside this one. The page plays one display and shows what the
// host and the browser know about the stream.
package page

import (
	"bytes"
	"embed"
	"fmt"
	"html"
	"maps"
	"net/http"
	"path"
	"sync"

	"wavryhost/session/api/content"
)

//go:embed *.html *.css *.js *.svg
var files embed.FS

// policy lets the page load its own files and connect to its own server, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page is the viewer page with its files.
type Page struct{ files map[string]*content.Static }

// New returns the page. source is the address of the source code, which the name of the program links to; empty for no
// link. The AGPL, section 13, requires an offer that users see.
func New(source string) (*Page, error) {
	others, err := fixed()
	if err != nil {
		return nil, err
	}
	body, err := files.ReadFile(index)
	if err != nil {
		return nil, err
	}
	body = bytes.Replace(body, []byte(nameMark), link(source, "wavry-host"), 1)
	body = bytes.Replace(body, []byte(sourceMark), link(source, "wavry-host is free software: source code"), 1)
	all := maps.Clone(others)
	all[index], err = content.NewStatic(kinds[".html"], body)
	return &Page{files: all}, err
}

// index is the file that has the offer of the source code.
const index = "index.html"

// kinds are media types. They do not come from the system, whose settings could give a script another type.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// fixed returns the other files.
var fixed = sync.OnceValues(func() (map[string]*content.Static, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	all := make(map[string]*content.Static)
	for _, e := range entries {
		if e.Name() == index {
			continue
		}
		body, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		if all[e.Name()], err = content.NewStatic(kinds[path.Ext(e.Name())], body); err != nil {
			return nil, err
		}
	}
	return all, nil
})

// The places of the program's name, which narrow windows hide, and of the offer of its source among the statistics.
const (
	nameMark   = "<!-- name -->"
	sourceMark = "<!-- source -->"
)

// link returns a text as a link to the source code, or "wavry-host" without one.
func link(source, text string) []byte {
	if source == "" {
		return []byte("wavry-host")
	}
	return fmt.Appendf(nil, `<a href="%s" target="_blank" rel="noreferrer" `+
		`title="Free software under the AGPL: source code">%s</a>`, html.EscapeString(source), text)
}

// Serve answers a request for the file that its path value "file" names, or for the page itself.
func (p *Page) Serve(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	if name == "" {
		name = "index.html"
	}
	file := p.files[name]
	if file == nil {
		return content.NotFound(r)
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), fullscreen=(self)")
	return file.Serve(w, r)
}
