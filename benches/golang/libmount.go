// libmount, which mount(8) and findmnt(8) read tables with. Loaded when it is needed: its headers are
// not, and where it is missing its column stays empty.

package main

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

struct libmnt_table;
struct libmnt_fs;

static struct libmnt_table *(*read_table)(const char *);
static struct libmnt_fs *(*find_target)(struct libmnt_table *, const char *, int);
static int (*length)(struct libmnt_table *);
static void (*release)(struct libmnt_table *);

static int load(void) {
	void *library = dlopen("libmount.so.1", RTLD_NOW);
	if (library == NULL)
		return 0;
	*(void **)&read_table = dlsym(library, "mnt_new_table_from_file");
	*(void **)&find_target = dlsym(library, "mnt_table_find_target");
	*(void **)&length = dlsym(library, "mnt_table_get_nents");
	*(void **)&release = dlsym(library, "mnt_unref_table");
	return read_table && find_target && length && release;
}

// The mounts of a table, or with a target whether one is mounted there.
static int mounts(const char *file, const char *target) {
	struct libmnt_table *table = read_table(file);
	if (table == NULL)
		return 0;
	int found = target ? find_target(table, target, 0) != NULL : length(table); // 0: MNT_ITER_FORWARD
	release(table);
	return found;
}
*/
import "C"

import "unsafe"

var hasLibmount = C.load() != 0

// readLibmount reads a table, and looks the target up if there is one.
func readLibmount(file, target string) batch {
	return readTable(func() (int, error) {
		name := C.CString(file)
		defer C.free(unsafe.Pointer(name))
		if target == "" {
			return int(C.mounts(name, nil)), nil
		}
		wanted := C.CString(target)
		defer C.free(unsafe.Pointer(wanted))
		return int(C.mounts(name, wanted)), nil
	})
}
