// Writes what a release says about the crates inside the static library: each one's licence texts,
// and an SPDX 2.3 list of them all. Run by dist.sh in the repository's root; usage:
//
//	go run go-shim/dist/licences.go VERSION CREATED OUT < NAMES
//
// NAMES are lines "crate vX.Y.Z", as `cargo tree` prints them. CREATED is the time of the release,
// so that a second run writes the same bytes.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

type crate struct {
	Name       string
	Version    string
	License    string
	Source     string
	Manifest   string `json:"manifest_path"`
	Repository string
}

func main() {
	if len(os.Args) != 4 {
		fail(errors.New("usage: go run go-shim/dist/licences.go VERSION CREATED OUT < NAMES"))
	}
	version, created, out := os.Args[1], os.Args[2], os.Args[3]
	crates, err := linked()
	if err != nil {
		fail(err)
	}
	for _, c := range crates {
		if err := copyLicences(c, filepath.Join(out, "licenses", c.Name+"-"+c.Version)); err != nil {
			fail(err)
		}
	}
	compiler, err := rustLicences(filepath.Join(out, "licenses"))
	if err != nil {
		fail(err)
	}
	if err := writeList(crates, compiler, version, created, filepath.Join(out, "sbom.spdx.json")); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "dist:", err)
	os.Exit(1)
}

// linked returns what cargo's metadata says about the crates named on standard input.
func linked() ([]crate, error) {
	output, err := exec.Command("cargo", "metadata", "--locked", "--format-version", "1").Output()
	if err != nil {
		return nil, fmt.Errorf("cargo metadata: %w", err)
	}
	var metadata struct{ Packages []crate }
	if err := json.Unmarshal(output, &metadata); err != nil {
		return nil, fmt.Errorf("cargo metadata: %w", err)
	}
	known := map[string]crate{}
	for _, c := range metadata.Packages {
		known[c.Name+" v"+c.Version] = c
	}
	var crates []crate
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		c, ok := known[words[0]+" "+words[1]]
		if !ok {
			return nil, fmt.Errorf("%s %s is linked, but cargo metadata does not know it", words[0], words[1])
		}
		crates = append(crates, c)
	}
	if len(crates) == 0 {
		return nil, errors.New("no crate was named on standard input")
	}
	slices.SortFunc(crates, func(a, b crate) int {
		return strings.Compare(a.Name+" "+a.Version, b.Name+" "+b.Version)
	})
	// Cargo names a crate again with a mark where it has shown what that needs.
	return slices.Compact(crates), nil
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|unlicense)`)

// copyLicences copies a crate's licence texts into a folder. A crate of this project has none: its licence
// is at the top of the archive.
func copyLicences(c crate, to string) error {
	if c.Source == "" {
		return nil
	}
	from := filepath.Dir(c.Manifest)
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	copied := 0
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !licenceFile.MatchString(entry.Name()) {
			continue
		}
		if err := copyFile(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
			return err
		}
		copied++
	}
	if copied == 0 {
		return fmt.Errorf("%s %s has no licence text in %s: find it and add it by hand", c.Name, c.Version, from)
	}
	return nil
}

// rustLicences copies the licence texts of Rust's standard library, which is linked too, and returns the
// compiler's version.
func rustLicences(to string) (string, error) {
	version, err := exec.Command("rustc", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("rustc --version: %w", err)
	}
	root, err := exec.Command("rustc", "--print", "sysroot").Output()
	if err != nil {
		return "", fmt.Errorf("rustc --print sysroot: %w", err)
	}
	name := "COPYRIGHT-library.html"
	from := filepath.Join(strings.TrimSpace(string(root)), "share/doc/rust", name)
	if err := copyFile(from, filepath.Join(to, "rust-std", name)); err != nil {
		return "", fmt.Errorf("the licences of Rust's standard library (part of a rustup toolchain): %w", err)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(version), "rustc ")), nil
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}

// object is a value of the SPDX list, which is JSON.
type object map[string]any

func writeList(crates []crate, compiler, version, created, path string) error {
	sums, err := lockedSums()
	if err != nil {
		return err
	}
	const own = "SPDXRef-rustsubpath"
	packages := []object{describe(own, "rustsubpath", version, "Apache-2.0")}
	relations := []object{{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": own}}
	add := func(e object) {
		packages = append(packages, e)
		relations = append(relations, object{"spdxElementId": own, "relationshipType": "STATIC_LINK", "relatedSpdxElement": e["SPDXID"]})
	}
	add(describe("SPDXRef-rust-std", "rust-std", compiler, "MIT OR Apache-2.0"))
	for _, c := range crates {
		id := "SPDXRef-crate-" + strings.ReplaceAll(c.Name, "_", "-") + "-" + c.Version
		e := describe(id, c.Name, c.Version, strings.ReplaceAll(c.License, "/", " OR "))
		e["externalRefs"] = []object{{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:cargo/" + c.Name + "@" + c.Version}}
		if sum := sums[c.Name+" "+c.Version]; sum != "" {
			e["checksums"] = []object{{"algorithm": "SHA256", "checksumValue": sum}}
		}
		add(e)
	}
	text, err := json.MarshalIndent(object{
		"spdxVersion":       "SPDX-2.3",
		"dataLicense":       "CC0-1.0",
		"SPDXID":            "SPDXRef-DOCUMENT",
		"name":              "rustsubpath-" + version,
		"documentNamespace": "urn:rustsubpath:" + version + ":" + created,
		"creationInfo":      object{"created": created, "creators": []string{"Tool: rustsubpath-dist"}},
		"packages":          packages,
		"relationships":     relations,
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func describe(id, name, version, licence string) object {
	return object{
		"SPDXID": id, "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": false,
		"licenseConcluded": "NOASSERTION", "licenseDeclared": licence, "copyrightText": "NOASSERTION",
	}
}

// lockedSums returns the checksums in Cargo.lock by "name version".
func lockedSums() (map[string]string, error) {
	lock, err := os.ReadFile("Cargo.lock")
	if err != nil {
		return nil, err
	}
	field := regexp.MustCompile(`(?m)^(name|version|checksum) = "(.*)"$`)
	sums := map[string]string{}
	for _, block := range strings.Split(string(lock), "[[package]]") {
		values := map[string]string{}
		for _, match := range field.FindAllStringSubmatch(block, -1) {
			values[match[1]] = match[2]
		}
		sums[values["name"]+" "+values["version"]] = values["checksum"]
	}
	return sums, nil
}
