module v129

go 1.25.0

require (
	k8s.io/kubernetes v1.35.4
	k8s.io/mount-utils v0.35.4
	suite v0.0.0
)

require (
	github.com/go-logr/logr v1.4.3 // indirect
	github.com/moby/sys/mountinfo v0.7.2 // indirect
	golang.org/x/sys v0.38.0 // indirect
	k8s.io/klog/v2 v2.130.1 // indirect
	k8s.io/utils v0.0.0-20251002143259-bc988d571ff4 // indirect
	rustsubpath v0.0.0 // indirect
)

replace suite => ../suite

replace rustsubpath => ../../../go-shim
