//go:build cgo

// A Subpather tells what it is.

package rustsubpath

import (
	"strings"
	"testing"

	"k8s.io/mount-utils"

	"rustsubpath/internal/boundary"
	"rustsubpath/internal/testutil"
)

func TestInfoTellsVersionProfileMounterAndFeatures(t *testing.T) {
	kernel := mount.New("")
	for _, row := range []struct {
		name    string
		mounter mount.Interface
		forward string
		profile Profile
		want    string
	}{
		{"native", kernel, "", ProfileV129, "; profile v1.29; mounts by system calls of its own"},
		{"switched off", kernel, "forward", ProfileV137, "; profile v1.37; mounts by the caller's *mount.Mounter"},
		{"another mounter", &testutil.Recorder{}, "", ProfileV137, "; profile v1.37; mounts by the caller's *testutil.Recorder"},
		{"none", nil, "", Profile(7), "; profile 7, which is unknown; has no mounter"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv(boundary.MounterVariable, row.forward)
			got := New(row.mounter, row.profile).Info()
			if !strings.HasPrefix(got, "rustsubpath ") || !strings.Contains(got, "kernel features: openat2=") || !strings.HasSuffix(got, row.want) {
				t.Errorf("Info() = %q, expected it to end in %q", got, row.want)
			}
		})
	}
}
