// Command csi-driver is a small CSI driver, the example for authors of drivers: it makes directories and
// tmpfs on one node, and mounts them by mount-utils' Interface. The one line that concerns the package
// rustsubpath is the call of NewMounter below.
package main

import (
	"flag"
	"log"
	"net"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"k8s.io/mount-utils"
	"rustsubpath"
)

func main() {
	socket := flag.String("socket", "/run/csi-driver/csi.sock", "path of the socket to serve on")
	volumes := flag.String("volumes", "/var/lib/csi-driver", "directory that holds the volumes")
	node := flag.String("node", "", "name of the node; empty for the host's")
	program := flag.Bool("mount-program", false, "mount by mount(8), as mount-utils does")
	flag.Parse()
	if *node == "" {
		*node, _ = os.Hostname()
	}
	os.Remove(*socket)
	listener, err := net.Listen("unix", *socket)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(newServer(*node, *volumes, newMounter(*program)).Serve(listener))
}

// newMounter returns the mounter that the driver uses: what was mount.New("") becomes NewMounter("").
func newMounter(program bool) mount.Interface {
	if program {
		return mount.New("")
	}
	return rustsubpath.NewMounter("")
}

// newServer returns a server with the driver's three services.
func newServer(node, volumes string, mounter mount.Interface) *grpc.Server {
	server := grpc.NewServer()
	csi.RegisterIdentityServer(server, identity{})
	csi.RegisterControllerServer(server, &controller{dir: volumes, made: map[string]*csi.Volume{}})
	csi.RegisterNodeServer(server, &nodeService{name: node, volumes: volumes, mounter: mounter})
	return server
}
