package api

import (
	"embed"
	"net/http"
	"path"
	"strconv"
)

//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page load its own files and talk to its own server, and nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page serves the viewer page and its files.
func (s *Server) page(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	if name == "" {
		name = "index.html"
	}
	// The table is beside the files: no system's MIME settings can make a script into something else.
	kind, ok := map[string]string{
		".html": "text/html; charset=utf-8",
		".css":  "text/css; charset=utf-8",
		".js":   "text/javascript; charset=utf-8",
		".svg":  "image/svg+xml",
	}[path.Ext(name)]
	b, err := pageFiles.ReadFile("page/" + name)
	if err != nil || !ok {
		return refuse(CodeNotFound, "there is nothing at %s", shorten(r.URL.Path))
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), fullscreen=(self)")
	h.Set("Cache-Control", "no-cache")
	w.Write(b)
	return nil
}
