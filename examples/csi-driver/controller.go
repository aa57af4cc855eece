// The identity service and the controller service: what volumes there are.

package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// identity says what the driver is.
type identity struct {
	csi.UnimplementedIdentityServer
}

func (identity) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: "directories.example.org", VendorVersion: "1"}, nil
}

func (identity) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	service := &csi.PluginCapability_Service{Type: csi.PluginCapability_Service_CONTROLLER_SERVICE}
	return &csi.GetPluginCapabilitiesResponse{
		Capabilities: []*csi.PluginCapability{{Type: &csi.PluginCapability_Service_{Service: service}}},
	}, nil
}

func (identity) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

// kindKey is the parameter of a storage class that selects the kind of its volumes: "directory", which is
// the default, or "tmpfs".
const kindKey = "kind"

// controller makes and deletes volumes. A volume is a directory below dir; a tmpfs is mounted by the node
// and only its name is kept here.
type controller struct {
	csi.UnimplementedControllerServer
	dir string

	mu   sync.Mutex
	made map[string]*csi.Volume
}

func (c *controller) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	rpc := &csi.ControllerServiceCapability_RPC{Type: csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME}
	return &csi.ControllerGetCapabilitiesResponse{
		Capabilities: []*csi.ControllerServiceCapability{{Type: &csi.ControllerServiceCapability_Rpc{Rpc: rpc}}},
	}, nil
}

func (c *controller) CreateVolume(_ context.Context, request *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if request.Name == "" {
		return nil, status.Error(codes.InvalidArgument, "the volume has no name")
	}
	if err := supported(request.VolumeCapabilities); err != nil {
		return nil, err
	}
	kind := request.Parameters[kindKey]
	if kind != "" && kind != "directory" && kind != "tmpfs" {
		return nil, status.Errorf(codes.InvalidArgument, "%s %q is neither directory nor tmpfs", kindKey, kind)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := identifier(request.Name)
	wanted := &csi.Volume{
		VolumeId: id, CapacityBytes: request.CapacityRange.GetRequiredBytes(), VolumeContext: map[string]string{kindKey: kind},
	}
	if volume := c.made[id]; volume != nil {
		if volume.CapacityBytes != wanted.CapacityBytes || !maps.Equal(volume.VolumeContext, wanted.VolumeContext) {
			return nil, status.Errorf(codes.AlreadyExists, "%s exists and is another volume", request.Name)
		}
		return &csi.CreateVolumeResponse{Volume: volume}, nil
	}
	if err := os.MkdirAll(filepath.Join(c.dir, id), 0o770); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	c.made[id] = wanted
	return &csi.CreateVolumeResponse{Volume: wanted}, nil
}

func (c *controller) DeleteVolume(_ context.Context, request *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if request.VolumeId == "" {
		return nil, status.Error(codes.InvalidArgument, "the volume has no id")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made[request.VolumeId] != nil {
		if err := os.RemoveAll(filepath.Join(c.dir, request.VolumeId)); err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		delete(c.made, request.VolumeId)
	}
	return &csi.DeleteVolumeResponse{}, nil
}

func (c *controller) ValidateVolumeCapabilities(_ context.Context, request *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if request.VolumeId == "" {
		return nil, status.Error(codes.InvalidArgument, "the volume has no id")
	}
	if len(request.VolumeCapabilities) == 0 {
		return nil, status.Error(codes.InvalidArgument, "no capability is asked for")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made[request.VolumeId] == nil {
		return nil, status.Errorf(codes.NotFound, "there is no volume %s", request.VolumeId)
	}
	if err := supported(request.VolumeCapabilities); err != nil {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: err.Error()}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: request.VolumeCapabilities},
	}, nil
}

// identifier makes a volume's name one that is a directory's, too.
func identifier(name string) string {
	return "volume-" + strings.NewReplacer("/", "-", "\x00", "-").Replace(name)
}

// supported returns an error if a volume cannot be used as asked.
func supported(capabilities []*csi.VolumeCapability) error {
	if len(capabilities) == 0 {
		return status.Error(codes.InvalidArgument, "no capability is asked for")
	}
	for _, capability := range capabilities {
		if capability.GetBlock() != nil {
			return status.Error(codes.InvalidArgument, "there are no block volumes")
		}
	}
	return nil
}
