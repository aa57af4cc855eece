// The node: containerd, one kubelet at a time, and what they answer.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// base is target/e2e inside of the namespaces; sockets need short paths.
	base   = "/run/e2e"
	nodes  = base + "/node"
	socket = "/run/containerd.sock"
	api    = "http://127.0.0.1:10255"

	// patience bounds every wait. What it waits for takes seconds; other work may run here too.
	patience = 5 * time.Minute
)

// process is a program whose output goes to a file in target/e2e.
type process struct {
	command *exec.Cmd
	log     string
	ended   chan error
}

func start(log string, environment []string, program string, arguments ...string) (*process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	p := &process{command: exec.Command(program, arguments...), log: log, ended: make(chan error, 1)}
	p.command.Stdout, p.command.Stderr = output, output
	p.command.Env = append(os.Environ(), environment...)
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- p.command.Wait() }()
	return p, nil
}

// stop ends it as a service manager does.
func (p *process) stop() error {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s does not end on SIGTERM, see %s", p.command.Path, p.log)
	}
}

// mustLive ends all once the program has ended.
func (p *process) mustLive() {
	select {
	case err := <-p.ended:
		fail("%s ended (%v); the end of its log:\n%s", p.command.Path, err, tail(p.log, 20))
	default:
	}
}

// wait asks again and again until the answer is nil; the last answer is the error.
func wait(what string, ask func() error) error {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := ask()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: not within %s: %w", what, patience, err)
		}
	}
}

// --- containerd -------------------------------------------------------------------

const containerdConfig = `version = 2
root = "` + nodes + `/containerd/root"
state = "` + nodes + `/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
[grpc]
  address = "` + socket + `"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + image + `"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native" # works on whatever the checkout lies on
`

func startContainerd() (*process, error) {
	config, archive := nodes+"/containerd.toml", nodes+"/image.tar"
	if err := os.WriteFile(config, []byte(containerdConfig), 0o644); err != nil {
		return nil, err
	}
	if err := writeImage(archive); err != nil {
		return nil, err
	}
	p, err := start(base+"/containerd.log", nil, "containerd", "--config", config)
	if err != nil {
		return nil, err
	}
	return p, wait("containerd takes the image", func() error {
		p.mustLive()
		_, err := ctr("images", "import", "--snapshotter", "native", archive)
		return err
	})
}

// ctr is containerd's own client, in the kubelet's namespace of it.
func ctr(arguments ...string) (string, error) {
	return run("ctr", append([]string{"--address", socket, "--namespace", "k8s.io"}, arguments...)...)
}

// run gives a program's output, which is in its error too.
func run(program string, arguments ...string) (string, error) {
	output, err := exec.Command(program, arguments...).CombinedOutput()
	text := strings.TrimSpace(string(output))
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", program, err, text)
	}
	return text, err
}

// --- the kubelet ------------------------------------------------------------------

// setUp is a kubelet to try, and the folder of its own that it keeps everything in.
type setUp struct {
	name        string
	binary      string
	environment []string
	folder      string
	runsMount   bool // it mounts sub paths by mount(8)
	ownMounter  bool // it mounts everything without mount(8)
	timesMany   bool // many pods with volumes in memory are timed, too
	kubelet     *process
}

func (s *setUp) root() string       { return s.folder + "/kubelet" }
func (s *setUp) manifests() string  { return s.folder + "/manifests" }
func (s *setUp) volumes() string    { return s.folder + "/volumes" }
func (s *setUp) mountCalls() string { return s.folder + "/mount-calls" }
func (s *setUp) log() string        { return base + "/kubelet-" + filepath.Base(s.folder) + ".log" }

// prepare makes the kubelet's folders and its configuration.
func (s *setUp) prepare() error {
	for _, directory := range []string{s.root(), s.manifests(), s.volumes(), s.folder + "/logs"} {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(s.mountCalls(), nil, 0o644); err != nil {
		return err
	}
	config := map[string]any{
		"apiVersion":               "kubelet.config.k8s.io/v1beta1",
		"kind":                     "KubeletConfiguration",
		"staticPodPath":            s.manifests(),
		"podLogsDir":               s.folder + "/logs",
		"containerRuntimeEndpoint": "unix://" + socket,
		"address":                  "127.0.0.1",
		"readOnlyPort":             10255,
		"authentication":           map[string]any{"anonymous": map[string]any{"enabled": true}, "webhook": map[string]any{"enabled": false}},
		"authorization":            map[string]any{"mode": "AlwaysAllow"},
		// No control groups of the kubelet's own: containers' have their own, runc makes those.
		"cgroupDriver":           "cgroupfs",
		"cgroupsPerQOS":          false,
		"enforceNodeAllocatable": []string{},
		"failCgroupV1":           false,
		"failSwapOn":             false,
		// Whatever the machine is short of, it is not the tests' concern.
		"localStorageCapacityIsolation": false,
		"imageGCHighThresholdPercent":   100,
		"evictionHard":                  map[string]string{"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
		"shutdownGracePeriod":           "0s",
	}
	return os.WriteFile(s.folder+"/config.json", encode(config), 0o644)
}

// start starts the kubelet. When its processes are counted, it also logs why it runs mount(8).
func (s *setUp) start(counting bool) error {
	environment := s.environment
	arguments := []string{"--config", s.folder + "/config.json", "--root-dir", s.root(), "--cert-dir", s.folder + "/pki",
		"--hostname-override", "e2e", "--node-ip", "192.0.2.1", "-v=3"}
	if counting {
		environment = append([]string{"MOUNT_CALLS=" + s.mountCalls()}, environment...)
		arguments = append(arguments, "--vmodule=mount_linux=5")
	}
	var err error
	s.kubelet, err = start(s.log(), environment, s.binary, arguments...)
	if err != nil {
		return err
	}
	return wait("the kubelet answers", func() error {
		s.kubelet.mustLive()
		_, err := s.pods()
		return err
	})
}

func (s *setUp) stop() error { return s.kubelet.stop() }

type pod struct {
	Metadata struct{ Name, UID string }
	Spec     struct{ InitContainers, Containers []containerSpec }
	Status   struct {
		Phase                                    string
		InitContainerStatuses, ContainerStatuses []container
	}
}

type containerSpec struct {
	Name         string
	VolumeMounts []struct{ Name, SubPath, SubPathExpr string }
}

type container struct {
	Name, ContainerID string
	RestartCount      int
	State             struct {
		Running *struct{}
		Waiting *struct{ Reason, Message string }
	}
}

func (c container) id() string { return strings.TrimPrefix(c.ContainerID, "containerd://") }

// pods asks the kubelet for its pods, by the name in the manifest.
func (s *setUp) pods() (map[string]pod, error) {
	answer, err := (&http.Client{Timeout: 10 * time.Second}).Get(api + "/pods")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var list struct{ Items []pod }
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		return nil, fmt.Errorf("%s/pods: %w", api, err)
	}
	pods := map[string]pod{}
	for _, pod := range list.Items {
		pods[strings.TrimSuffix(pod.Metadata.Name, "-e2e")] = pod
	}
	return pods, nil
}

// add gives the kubelet a manifest, whole at once.
func (s *setUp) add(name, spec string) error {
	text := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: default, labels: {e2e: %s}}\nspec:\n  hostNetwork: true\n  terminationGracePeriodSeconds: 5\n%s", name, name, spec)
	hidden := filepath.Join(s.manifests(), "."+name)
	if err := os.WriteFile(hidden, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(hidden, filepath.Join(s.manifests(), name+".yaml"))
}

func (s *setUp) remove(name string) error {
	return os.Remove(filepath.Join(s.manifests(), name+".yaml"))
}

// gone waits until the kubelet has none of these pods (by UID) any more, on disk or mounted.
func (s *setUp) gone(uids ...string) error {
	return wait("the pods are gone", func() error {
		for _, uid := range uids {
			directory := filepath.Join(s.root(), "pods", uid)
			if _, err := os.Lstat(directory); !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("%s is still there (%v)", directory, err)
			}
		}
		return nil
	})
}

func tail(file string, lines int) string {
	text, _ := os.ReadFile(file)
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}
