// The path lies below rustsubpath so that its internal packages can be imported.
module rustsubpath/soak

go 1.21

require (
	k8s.io/klog/v2 v2.110.1
	k8s.io/mount-utils v0.29.6
	rustsubpath v0.0.0
)

require (
	github.com/go-logr/logr v1.3.0 // indirect
	github.com/moby/sys/mountinfo v0.6.2 // indirect
	golang.org/x/sys v0.18.0 // indirect
	k8s.io/utils v0.0.0-20230726121419-3b25d923346b // indirect
)

replace rustsubpath => ../../../go-shim
