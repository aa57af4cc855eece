// The one image of all containers, pause too: busybox, made here, so that no registry is asked.

package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strings"
)

const image = "localhost/subpath-e2e:1"

// idle is what the sandbox runs, and a container that has nothing else to do: it ends at once
// when it is told to, so that no test waits for a grace period.
const idle = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done"

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// writeImage writes an OCI image layout, as a tar file that ctr imports.
func writeImage(file string) error {
	layer, err := layer()
	if err != nil {
		return err
	}
	out := &archive{}
	out.tar = tar.NewWriter(&out.bytes)
	config := map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Cmd": []string{"/bin/sh", "-c", idle}, "Env": []string{"PATH=/bin"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
	}
	manifest := map[string]any{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.oci.image.manifest.v1+json",
		"config":        out.blob("application/vnd.oci.image.config.v1+json", encode(config)),
		"layers":        []descriptor{out.blob("application/vnd.oci.image.layer.v1.tar", layer)},
	}
	entry := out.blob("application/vnd.oci.image.manifest.v1+json", encode(manifest))
	entry.Annotations = map[string]string{"io.containerd.image.name": image}
	out.add("index.json", encode(map[string]any{"schemaVersion": 2, "manifests": []descriptor{entry}}))
	out.add("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	if err := out.tar.Close(); err != nil {
		return err
	}
	return os.WriteFile(file, out.bytes.Bytes(), 0o600)
}

// layer is the root file system: busybox under all its names.
func layer() ([]byte, error) {
	program, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	parsed, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	if libraries, _ := parsed.ImportedLibraries(); len(libraries) > 0 {
		return nil, fmt.Errorf("%s needs %s, which the image has not: install busybox-static", program, libraries)
	}
	names, err := exec.Command(program, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --list: %w", program, err)
	}
	out := &archive{}
	out.tar = tar.NewWriter(&out.bytes)
	for _, directory := range []string{"bin", "dev", "etc", "proc", "sys"} {
		out.header(&tar.Header{Typeflag: tar.TypeDir, Name: directory + "/", Mode: 0o755})
	}
	out.header(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777})
	out.header(&tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755, Size: int64(len(content))})
	out.write(content)
	for _, name := range strings.Fields(string(names)) {
		if name != "busybox" {
			out.header(&tar.Header{Typeflag: tar.TypeSymlink, Name: path.Join("bin", name), Linkname: "busybox"})
		}
	}
	err = out.tar.Close()
	return out.bytes.Bytes(), err
}

// archive is a tar file in memory; what goes wrong there shows when it is closed.
type archive struct {
	bytes bytes.Buffer
	tar   *tar.Writer
}

func (a *archive) header(h *tar.Header) { _ = a.tar.WriteHeader(h) }
func (a *archive) write(content []byte) { _, _ = a.tar.Write(content) }
func digest(content []byte) string      { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }
func (a *archive) add(name string, content []byte) {
	a.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))})
	a.write(content)
}

func (a *archive) blob(mediaType string, content []byte) descriptor {
	sum := digest(content)
	a.add("blobs/sha256/"+strings.TrimPrefix(sum, "sha256:"), content)
	return descriptor{MediaType: mediaType, Digest: sum, Size: len(content)}
}

// encode is for values made of maps and strings only, which JSON always takes.
func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}
