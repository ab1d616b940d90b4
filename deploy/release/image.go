package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// imageSuffix ends the name of the image for containers in a release.
const imageSuffix = "_oci.tar"

// imageUser is the user and the group of the daemon in the image. They own its folders for state and sockets.
const imageUser = 970

// imageCmd writes an image for containers: an archive of an OCI image layout, version 1.0.0. It needs no daemon. The
// bytes are the same each time.
type imageCmd struct {
	Dir     string            `arg:"" help:"Folder with the files of the release."`
	Version string            `required:"" help:"Version of the release."`
	Commit  string            `required:"" help:"Commit that it is made from."`
	Epoch   int64             `required:"" help:"Time of the commit, in seconds since 1970."`
	Source  string            `help:"Address of the source code."`
	Layers  map[string]string `name:"layers" required:"" mapsep:"none" placeholder:"ARCH=DIR:DIR" help:"Folders of the layers for an architecture, the lowest first."` //nolint:lll // a struct tag is one line
	Owned   []string          `default:"var/lib/wavry-host,run/wavry-host" help:"Folders that belong to the daemon's user."`                                           //nolint:lll // a struct tag is one line
}

// blob is an OCI content descriptor.
type blob struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *imagePlatform    `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type imagePlatform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// imageIndex lists the images of the architectures.
type imageIndex struct {
	Schema      int               `json:"schemaVersion"`
	MediaType   string            `json:"mediaType"`
	Manifests   []blob            `json:"manifests"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// imageManifest names the parts of the image of an architecture.
type imageManifest struct {
	Schema      int               `json:"schemaVersion"`
	MediaType   string            `json:"mediaType"`
	Config      blob              `json:"config"`
	Layers      []blob            `json:"layers"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// imageConfig says how a container is started.
type imageConfig struct {
	imagePlatform
	Created string          `json:"created"`
	Config  containerConfig `json:"config"`
	RootFS  rootFS          `json:"rootfs"`
}

type containerConfig struct {
	User       string              `json:"User"`
	Ports      map[string]struct{} `json:"ExposedPorts"`
	Env        []string            `json:"Env"`
	Entrypoint []string            `json:"Entrypoint"`
	Command    []string            `json:"Cmd"`
	Volumes    map[string]struct{} `json:"Volumes"`
	Labels     map[string]string   `json:"Labels"`
	StopSignal string              `json:"StopSignal"`
}

type rootFS struct {
	Type  string   `json:"type"`
	Diffs []string `json:"diff_ids"`
}

const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// Run is called by kong.
func (c *imageCmd) Run() error {
	work, err := os.MkdirTemp(c.Dir, ".image-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // it is temporary
	if err := c.layout(work); err != nil {
		return err
	}
	path := filepath.Join(c.Dir, "wavry-host_"+strings.TrimPrefix(c.Version, "v")+imageSuffix)
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(c.archive(f, work, nil), f.Close())
}

// layout writes the files of the layout into a folder.
func (c *imageCmd) layout(dir string) error {
	created := time.Unix(c.Epoch, 0).UTC().Format(time.RFC3339)
	about := map[string]string{
		"org.opencontainers.image.title": "wavry-host", "org.opencontainers.image.version": c.Version,
		"org.opencontainers.image.revision": c.Commit, "org.opencontainers.image.created": created,
		"org.opencontainers.image.licenses": "AGPL-3.0-only",
	}
	if c.Source != "" {
		about["org.opencontainers.image.source"] = c.Source
	}
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil { //nolint:gosec // public
		return err
	}
	index := imageIndex{Schema: 2, MediaType: indexType, Annotations: about}
	archs := make([]string, 0, len(c.Layers))
	for arch := range c.Layers {
		archs = append(archs, arch)
	}
	slices.Sort(archs)
	for _, arch := range archs {
		one, err := c.image(dir, arch, created, about)
		if err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
		index.Manifests = append(index.Manifests, one)
	}
	all, err := putJSON(dir, indexType, index)
	if err != nil {
		return err
	}
	all.Annotations = map[string]string{"org.opencontainers.image.ref.name": strings.TrimPrefix(c.Version, "v")}
	text, err := json.Marshal(imageIndex{Schema: 2, MediaType: indexType, Manifests: []blob{all}})
	if err != nil {
		return err
	}
	const version = `{"imageLayoutVersion":"1.0.0"}`
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "index.json"), text, 0o644),            //nolint:gosec // public
		os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(version), 0o644)) //nolint:gosec // public
}

// image writes the blobs of an architecture.
func (c *imageCmd) image(dir, arch, created string, about map[string]string) (blob, error) {
	on := imagePlatform{Architecture: arch, OS: "linux"}
	if arch == "arm64" {
		on.Variant = "v8"
	}
	config := imageConfig{imagePlatform: on, Created: created, RootFS: rootFS{Type: "layers"}}
	config.Config = containerConfig{
		User: fmt.Sprintf("%d:%d", imageUser, imageUser), Ports: map[string]struct{}{"8470/tcp": {}},
		Env: []string{
			"PATH=/usr/bin:/bin", "STATE_DIRECTORY=/var/lib/wavry-host", "XDG_RUNTIME_DIR=/run/wavry-host",
		},
		Entrypoint: []string{"/usr/bin/wavry-host"}, Command: []string{"run"}, Labels: about, StopSignal: "SIGTERM",
		Volumes: map[string]struct{}{},
	}
	for _, name := range c.Owned {
		config.Config.Volumes["/"+name] = struct{}{}
	}
	m := imageManifest{Schema: 2, MediaType: manifestType, Annotations: about}
	for _, root := range filepath.SplitList(c.Layers[arch]) {
		layer, diff, err := c.layer(dir, root)
		if err != nil {
			return blob{}, err
		}
		m.Layers = append(m.Layers, layer)
		config.RootFS.Diffs = append(config.RootFS.Diffs, diff)
	}
	var err error
	if m.Config, err = putJSON(dir, configType, config); err != nil {
		return blob{}, err
	}
	b, err := putJSON(dir, manifestType, m)
	b.Platform = &on
	return b, err
}

// layer writes a folder as a layer, and returns the digest of its content too.
func (c *imageCmd) layer(dir, root string) (b blob, diff string, err error) {
	f, err := os.CreateTemp(dir, "layer")
	if err != nil {
		return b, "", err
	}
	packed, plain := sha256.New(), sha256.New()
	z, err := gzip.NewWriterLevel(io.MultiWriter(f, packed), gzip.BestCompression)
	if err != nil {
		return b, "", err
	}
	err = errors.Join(c.archive(io.MultiWriter(z, plain), root, c.Owned), z.Close(), f.Chmod(0o644))
	size, err2 := f.Seek(0, io.SeekCurrent)
	if err = errors.Join(err, err2, f.Close()); err != nil {
		return b, "", err
	}
	name := hex.EncodeToString(packed.Sum(nil))
	if err := os.Rename(f.Name(), filepath.Join(dir, "blobs", "sha256", name)); err != nil {
		return b, "", err
	}
	return blob{MediaType: layerType, Digest: "sha256:" + name, Size: size},
		"sha256:" + hex.EncodeToString(plain.Sum(nil)), nil
}

// archive writes a folder as a tar archive that is the same each time. Everything belongs to root, except for owned.
func (c *imageCmd) archive(w io.Writer, root string, owned []string) error {
	t := tar.NewWriter(w)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(path); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		h.Name, h.ModTime, h.Format = filepath.ToSlash(name), time.Unix(c.Epoch, 0), tar.FormatPAX
		h.Uid, h.Gid, h.Uname, h.Gname, h.AccessTime, h.ChangeTime, h.PAXRecords = 0, 0, "", "", time.Time{}, time.Time{}, nil
		if slices.Contains(owned, h.Name) {
			h.Uid, h.Gid = imageUser, imageUser
		}
		if e.IsDir() {
			h.Name += "/"
		}
		if err := t.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(t, f)
		return errors.Join(err, f.Close())
	})
	return errors.Join(err, t.Close())
}

// putJSON writes a blob.
func putJSON(dir, mediaType string, v any) (blob, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return blob{}, err
	}
	sum := sha256.Sum256(text)
	name := hex.EncodeToString(sum[:])
	err = os.WriteFile(filepath.Join(dir, "blobs", "sha256", name), text, 0o644) //nolint:gosec // public
	return blob{MediaType: mediaType, Digest: "sha256:" + name, Size: int64(len(text))}, err
}

// checkImage lets skopeo read the image of each architecture, and starts the program in the one of this machine.
func checkImage(ctx context.Context, c *checkCmd) (string, error) {
	images, err := filepath.Glob(filepath.Join(c.Dir, "*"+imageSuffix))
	if err != nil || len(images) != 1 {
		return "", fmt.Errorf("%s has %d images for containers; want 1", c.Dir, len(images))
	}
	if _, err := exec.LookPath("skopeo"); err != nil {
		return "", errors.New("skopeo is not installed: apt-get install skopeo")
	}
	archs, err := architectures(c.Dir)
	if err != nil {
		return "", err
	}
	work, err := os.MkdirTemp("", "wavry-image-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work) //nolint:errcheck // it is temporary
	for _, arch := range archs {
		to := filepath.Join(work, arch)
		if _, err := output(ctx, "skopeo", "--insecure-policy", "--override-arch", arch, "copy", "-q",
			"oci-archive:"+images[0], "dir:"+to); err != nil {
			return "", fmt.Errorf("%s: %w", arch, err)
		}
		if arch != runtime.GOARCH {
			continue
		}
		if err := startImage(ctx, to, filepath.Join(work, "root"), c.Version); err != nil {
			return "", err
		}
	}
	return strings.Join(archs, " and ") + ": skopeo reads the images, and the program starts", nil
}

// startImage unpacks the layers of an image, which skopeo has written into a folder, and starts the program in them.
func startImage(ctx context.Context, dir, root, version string) error {
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return err
	}
	var m imageManifest
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	if err := os.Mkdir(root, 0o755); err != nil { //nolint:gosec // the root of a container
		return err
	}
	for _, l := range m.Layers {
		layer := filepath.Join(dir, strings.TrimPrefix(l.Digest, "sha256:"))
		if _, err := output(ctx, "tar", "-xzpf", layer, "-C", root, "--no-same-owner"); err != nil {
			return err
		}
	}
	// A user namespace needs no root rights.
	out, err := output(ctx, "unshare", "--user", "--map-root-user", "--root", root, "/bin/sh", "-c",
		"exec wavry-host version")
	if err != nil {
		return fmt.Errorf("start the program of the image: %w", err)
	}
	if !strings.HasPrefix(out, "wavry-host "+version+" ") {
		return fmt.Errorf("the image has %q; want %s", out, version)
	}
	return nil
}
