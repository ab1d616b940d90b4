package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// readImage returns the files of an archive with an OCI layout.
func readImage(t *testing.T, path string) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files := make(map[string][]byte)
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// fetch returns a blob of a layout, whose digest and size must be right.
func fetch(t *testing.T, files map[string][]byte, b blob) []byte {
	t.Helper()
	const prefix = "sha256:"
	text := files["blobs/sha256/"+b.Digest[len(prefix):]]
	if sum := sha256.Sum256(text); prefix+hex.EncodeToString(sum[:]) != b.Digest || int64(len(text)) != b.Size {
		t.Fatalf("the blob %s has %d bytes, or another digest; want %d", b.Digest, len(text), b.Size)
	}
	return text
}

func decode[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// The image has an entry for each architecture, layers in order, and files of root; only the daemon's folders are not.
// It is the same each time, whenever its files were made. skopeo reads it in the check of a release.
func TestImage(t *testing.T) {
	var first []byte
	for range 2 {
		dir, base, top := t.TempDir(), t.TempDir(), t.TempDir()
		for name, mode := range map[string]os.FileMode{"bin/sh": 0o755, "var/lib/wavry-host/x": 0o644} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(base, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(base, name), []byte(name), mode); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("sh", filepath.Join(base, "bin", "dash")); err != nil {
			t.Fatal(err)
		}
		err := os.WriteFile(filepath.Join(top, "wavry-host"), []byte("program"), 0o755) //nolint:gosec // a program
		if err != nil {
			t.Fatal(err)
		}
		c := imageCmd{
			Dir: dir, Version: "v1.2.0", Commit: "abc", Epoch: 1e9, Source: "https://example.net/x",
			Layers: map[string]string{"arm64": base + ":" + top, "amd64": base + ":" + top},
			Owned:  []string{"var/lib/wavry-host"},
		}
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "wavry-host_1.2.0_oci.tar"))
		if err != nil || first != nil && !bytes.Equal(first, text) {
			t.Fatalf("the image differs the second time, or %v", err)
		}
		first = text
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Fatalf("got %v, %v; want the image only", entries, err)
		}
		checkLayout(t, readImage(t, filepath.Join(dir, entries[0].Name())))
	}
}

func checkLayout(t *testing.T, files map[string][]byte) {
	t.Helper()
	if string(files["oci-layout"]) != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout is %q", files["oci-layout"])
	}
	top := decode[imageIndex](t, files["index.json"])
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "1.2.0" {
		t.Fatalf("got the index %+v", top)
	}
	all := decode[imageIndex](t, fetch(t, files, top.Manifests[0]))
	if len(all.Manifests) != 2 || all.Manifests[0].Platform.Architecture != "amd64" ||
		*all.Manifests[1].Platform != (imagePlatform{"arm64", "linux", "v8"}) {
		t.Fatalf("got the images %+v", all)
	}
	m := decode[imageManifest](t, fetch(t, files, all.Manifests[0]))
	config := decode[imageConfig](t, fetch(t, files, m.Config))
	if config.Architecture != "amd64" || config.Created != "2001-09-09T01:46:40Z" || config.Config.User != "970:970" ||
		config.Config.Labels["org.opencontainers.image.source"] != "https://example.net/x" ||
		len(m.Layers) != 2 || len(config.RootFS.Diffs) != 2 {
		t.Fatalf("got the manifest %+v and the configuration %+v", m, config)
	}
	z, err := gzip.NewReader(bytes.NewReader(fetch(t, files, m.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(plain); "sha256:"+hex.EncodeToString(sum[:]) != config.RootFS.Diffs[0] {
		t.Errorf("the layer's content has another digest than %s", config.RootFS.Diffs[0])
	}
	var got []string
	for r := tar.NewReader(bytes.NewReader(plain)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		owned := h.Name == "var/lib/wavry-host/"
		if (h.Uid == imageUser) != owned || (h.Gid == imageUser) != owned || h.Uname != "" || h.ModTime.Unix() != 1e9 {
			t.Errorf("%s belongs to %d:%d (%q), from %v", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
		}
		got = append(got, h.Name+h.Linkname)
	}
	want := []string{"bin/", "bin/dashsh", "bin/sh", "var/", "var/lib/", "var/lib/wavry-host/", "var/lib/wavry-host/x"}
	if len(got) != len(want) {
		t.Fatalf("got %q; want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %q; want %q", got[i], want[i])
		}
	}
}
