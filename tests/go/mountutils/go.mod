// The path lies below rustsubpath so that its internal packages can be imported.
module rustsubpath/mountutils

go 1.26.0

require (
	github.com/moby/sys/mountinfo v0.7.2
	github.com/stretchr/testify v1.11.1
	golang.org/x/sys v0.47.0
	k8s.io/klog/v2 v2.140.0
	k8s.io/mount-utils v0.37.2
	k8s.io/utils v0.0.0-20260626114624-be93311217bd
	mount-utils-v032 v0.32.13
	mount-utils-v033 v0.33.6
	rustsubpath v0.0.0
)

require (
	github.com/davecgh/go-spew v1.1.2-0.20180830191138-d8f796af33cc // indirect
	github.com/go-logr/logr v1.4.3 // indirect
	github.com/kr/text v0.2.0 // indirect
	github.com/moby/sys/userns v0.1.0 // indirect
	github.com/pmezard/go-difflib v1.0.1-0.20181226105442-5d4384ee4fb2 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)

replace rustsubpath => ../../../go-shim

// Older releases of mount-utils, whose mounters mount otherwise (flags_test.go).
replace (
	mount-utils-v032 => k8s.io/mount-utils v0.32.13
	mount-utils-v033 => k8s.io/mount-utils v0.33.6
)
