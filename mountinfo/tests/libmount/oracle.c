// Answers what libmount makes of option strings: one in each line of the input, and for each a line with the
// flags of mount(2), the options for user space and those for the file system, separated by tabs; or "error".
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// From libmount.h, which is not installed with the library.
struct libmnt_optmap;
#define MNT_LINUX_MAP 1
const struct libmnt_optmap *mnt_get_builtin_optmap(int id);
int mnt_split_optstr(const char *optstr, char **user, char **vfs, char **fs, int ignore_user, int ignore_vfs);
int mnt_optstr_get_flags(const char *optstr, unsigned long *flags, const struct libmnt_optmap *map);

int main(void) {
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	while ((length = getline(&line, &size, stdin)) > 0) {
		char *user = NULL, *vfs = NULL, *fs = NULL;
		unsigned long flags = 0;
		line[length - 1] = 0;
		int failed = mnt_split_optstr(line, &user, &vfs, &fs, 0, 0);
		if (!failed && vfs)
			failed = mnt_optstr_get_flags(vfs, &flags, mnt_get_builtin_optmap(MNT_LINUX_MAP));
		if (failed)
			puts("error");
		else
			printf("%lu\t%s\t%s\n", flags, user ? user : "", fs ? fs : "");
		free(user), free(vfs), free(fs);
	}
	return 0;
}
