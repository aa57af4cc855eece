// Runs kubernetes-csi's own sanity tests on the driver, in a mount namespace that the caller made.
// MOUNT_PROGRAM in the environment makes the driver mount by mount(8), and KIND is the kind of the volumes.

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"
	"k8s.io/mount-utils"
	"rustsubpath"
)

func TestSanity(t *testing.T) {
	// A socket's path is short; a test's own directory may not be.
	dir, err := os.MkdirTemp("", "csi")
	must(t, err)
	defer os.RemoveAll(dir)
	listener, err := net.Listen("unix", filepath.Join(dir, "socket"))
	must(t, err)
	mounter := newMounter(os.Getenv("MOUNT_PROGRAM") != "")
	server := newServer("here", filepath.Join(dir, "volumes"), mounter)
	go func() {
		// csi-test waits for its connection to change, and misses the change if it is answered at once.
		time.Sleep(time.Second)
		server.Serve(listener)
	}()
	defer server.Stop()

	config := sanity.NewTestConfig()
	config.Address = "unix:" + listener.Addr().String()
	config.TargetPath, config.StagingPath = filepath.Join(dir, "target"), filepath.Join(dir, "staging")
	config.TestVolumeParameters = map[string]string{kindKey: os.Getenv("KIND")}
	sanity.Test(t, config)

	mounts, err := rustsubpath.List()
	must(t, err)
	for _, m := range mounts {
		if mount.PathWithinBase(m.Path, dir) {
			t.Errorf("left mounted: %s", m.Path)
		}
	}
	fmt.Printf("the mounter was a %T; %s\n", mounter, rustsubpath.Info())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
