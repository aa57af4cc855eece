// The node service: volumes on their way into pods.

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/mount-utils"
	"rustsubpath"
)

// nodeService mounts volumes by the mounter.
type nodeService struct {
	csi.UnimplementedNodeServer
	name, volumes string
	mounter       mount.Interface
}

func (n *nodeService) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.name}, nil
}

func (n *nodeService) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	rpc := &csi.NodeServiceCapability_RPC{Type: csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME}
	return &csi.NodeGetCapabilitiesResponse{
		Capabilities: []*csi.NodeServiceCapability{{Type: &csi.NodeServiceCapability_Rpc{Rpc: rpc}}},
	}, nil
}

// NodeStageVolume mounts the volume for the node: a directory is bound, a tmpfs is mounted.
func (n *nodeService) NodeStageVolume(_ context.Context, request *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	if err := complete(request.VolumeId, request.StagingTargetPath, request.VolumeCapability); err != nil {
		return nil, err
	}
	flags := request.VolumeCapability.GetMount().GetMountFlags()
	if request.VolumeContext[kindKey] == "tmpfs" {
		return &csi.NodeStageVolumeResponse{}, n.mount("tmpfs", request.StagingTargetPath, "tmpfs", append([]string{"mode=0770"}, flags...))
	}
	source, err := n.source(request.VolumeId)
	if err != nil {
		return nil, err
	}
	return &csi.NodeStageVolumeResponse{}, n.mount(source, request.StagingTargetPath, "", append([]string{"bind"}, flags...))
}

// NodeUnstageVolume undoes NodeStageVolume. The orchestrator removes the directory.
func (n *nodeService) NodeUnstageVolume(_ context.Context, request *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	if err := complete(request.VolumeId, request.StagingTargetPath, &csi.VolumeCapability{}); err != nil {
		return nil, err
	}
	return &csi.NodeUnstageVolumeResponse{}, internal(n.mounter.Unmount(request.StagingTargetPath))
}

// NodePublishVolume binds the staged volume for a pod.
func (n *nodeService) NodePublishVolume(_ context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	if err := complete(request.VolumeId, request.TargetPath, request.VolumeCapability); err != nil {
		return nil, err
	}
	if request.StagingTargetPath == "" {
		return nil, status.Error(codes.InvalidArgument, "the volume has no staging path")
	}
	options := []string{"bind"}
	if request.Readonly {
		options = append(options, "ro")
	}
	return &csi.NodePublishVolumeResponse{}, n.mount(request.StagingTargetPath, request.TargetPath, "", options)
}

// NodeUnpublishVolume undoes NodePublishVolume, and removes the pod's directory.
func (n *nodeService) NodeUnpublishVolume(_ context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	if err := complete(request.VolumeId, request.TargetPath, &csi.VolumeCapability{}); err != nil {
		return nil, err
	}
	return &csi.NodeUnpublishVolumeResponse{}, internal(rustsubpath.CleanupMountPoint(request.TargetPath, n.mounter, true))
}

// mount mounts where nothing is mounted yet.
func (n *nodeService) mount(source, target, fstype string, options []string) error {
	if err := os.MkdirAll(target, 0o750); err != nil {
		return internal(err)
	}
	mounted, err := n.mounter.IsMountPoint(target)
	if err != nil || mounted {
		return internal(err)
	}
	return internal(n.mounter.Mount(source, target, fstype, options))
}

// source returns the directory of a volume.
func (n *nodeService) source(id string) (string, error) {
	if strings.Contains(id, "/") || !strings.HasPrefix(id, "volume-") {
		return "", status.Errorf(codes.NotFound, "there is no volume %s", id)
	}
	source := filepath.Join(n.volumes, id)
	if _, err := os.Stat(source); err != nil {
		return "", status.Errorf(codes.NotFound, "there is no volume %s", id)
	}
	return source, nil
}

// complete returns an error if a request lacks what every one must have.
func complete(id, path string, capability *csi.VolumeCapability) error {
	switch {
	case id == "":
		return status.Error(codes.InvalidArgument, "the volume has no id")
	case path == "":
		return status.Error(codes.InvalidArgument, "the volume has no path")
	case capability == nil:
		return status.Error(codes.InvalidArgument, "no capability is asked for")
	}
	return nil
}

// internal makes an error one of gRPC's.
func internal(err error) error {
	if err == nil {
		return nil
	}
	return status.Error(codes.Internal, err.Error())
}
