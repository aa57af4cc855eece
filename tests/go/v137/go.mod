module v137

go 1.26.0

require (
	k8s.io/kubernetes v1.37.2
	k8s.io/mount-utils v0.37.2
	suite v0.0.0
)

require (
	github.com/go-logr/logr v1.4.3 // indirect
	github.com/moby/sys/mountinfo v0.7.2 // indirect
	golang.org/x/sys v0.47.0 // indirect
	k8s.io/klog/v2 v2.140.0 // indirect
	k8s.io/utils v0.0.0-20260626114624-be93311217bd // indirect
	rustsubpath v0.0.0 // indirect
)

replace suite => ../suite

replace rustsubpath => ../../../go-shim
