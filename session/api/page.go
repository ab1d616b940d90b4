package api

import (
	"embed"
	"net/http"
	"path"
)

//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page load its own files and talk to its own server, and nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// newPage returns the viewer page and its files, by name.
func newPage() (map[string]*static, error) {
	// The table is beside the files: no system's MIME settings can make a script into something else.
	kinds := map[string]string{
		".html": "text/html; charset=utf-8",
		".css":  "text/css; charset=utf-8",
		".js":   "text/javascript; charset=utf-8",
		".svg":  "image/svg+xml",
	}
	entries, err := pageFiles.ReadDir("page")
	if err != nil {
		return nil, err
	}
	files := make(map[string]*static)
	for _, e := range entries {
		kind, ok := kinds[path.Ext(e.Name())]
		if !ok {
			continue
		}
		body, err := pageFiles.ReadFile("page/" + e.Name())
		if err != nil {
			return nil, err
		}
		if files[e.Name()], err = newStatic(kind, body); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// page serves the viewer page and its files.
func (s *Server) page(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	if name == "" {
		name = "index.html"
	}
	file := s.files[name]
	if file == nil {
		return refuse(CodeNotFound, "there is nothing at %s", shorten(r.URL.Path))
	}
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), fullscreen=(self)")
	return file.serve(w, r)
}
