module suite

go 1.25.0

require (
	golang.org/x/sys v0.38.0
	k8s.io/klog/v2 v2.130.1
	k8s.io/mount-utils v0.35.4
)

require (
	github.com/go-logr/logr v1.4.3 // indirect
	github.com/moby/sys/mountinfo v0.7.2 // indirect
	k8s.io/utils v0.0.0-20251002143259-bc988d571ff4 // indirect
	rustsubpath v0.0.0
)

replace rustsubpath => ../../../go-shim
