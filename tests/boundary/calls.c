// Calls the library from C: a result, an error, a question answered and one given up.

// mkdtemp
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rustsubpath.h"

#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "line %d: not %s\n", __LINE__,         \
				#condition);                                   \
			return 1;                                              \
		}                                                              \
	} while (0)

#ifdef WITH_OTHERS
size_t other_rust_library(uint32_t n);
uint32_t twin_rsp_abi_version(void);
uint32_t twin_rsp_info(const struct rsp_options *options, struct rsp_step *step);
#endif

static int lines;

static void count_line(uint64_t handle, int32_t level, const uint8_t *line, size_t len)
{
	lines += handle == 42 && level >= RSP_LOG_ERROR && line != NULL && len > 0;
}

// Packs NULL-terminated strings.
static size_t pack(uint8_t *out, const char *const *fields)
{
	size_t used = 0;
	for (; *fields != NULL; fields++) {
		uint64_t len = strlen(*fields);
		for (int i = 0; i < 8; i++)
			out[used++] = (uint8_t)(len >> (8 * i));
		memcpy(out + used, *fields, len);
		used += len;
	}
	return used;
}

static int says(const uint8_t *text, size_t len, const char *want)
{
	return len == strlen(want) && memcmp(text, want, len) == 0;
}

int main(void)
{
	static struct rsp_step step;
	static uint8_t args[8192];
	struct rsp_options options = {
		.abi = RSP_ABI_VERSION,
		.profile = RSP_PROFILE_V129,
		.mounter = RSP_MOUNTER_CALLER,
		.verbosity = 5,
		.log = count_line,
		.log_handle = 42,
	};

	CHECK(rsp_abi_version() == RSP_ABI_VERSION);
	CHECK(rsp_info(&options, &step) == RSP_DONE);
	CHECK(step.text == NULL && step.text_len > 0 && step.error == NULL);
#ifdef WITH_OTHERS
	CHECK(twin_rsp_abi_version() == RSP_ABI_VERSION);
	CHECK(twin_rsp_info(&options, &step) == RSP_DONE);
	CHECK(other_rust_library(11) == 12);
#endif

	const char *const bad[] = {"x", "/no such directory", NULL};
	size_t len = pack(args, bad);
	CHECK(rsp_safe_make_dir(&options, args, len, 0755, &step) == RSP_FAILED);
	CHECK(step.state == RSP_FAILED && step.error->kind == RSP_ERROR_TEXT);
	CHECK(says(step.error->text, step.error->text_len,
		   "error resolving symlinks in /no such directory: lstat /no such directory: "
		   "no such file or directory"));
	rsp_error_free(step.error);

	const char *const root[] = {"/", NULL};
	len = pack(args, root);
	CHECK(rsp_is_likely_not_mount_point(&options, args, len, &step) == RSP_DONE);
	const int64_t likely_not = step.number;
	CHECK(rsp_is_mount_point(&options, args, len, &step) == RSP_DONE && step.number == !likely_not);
	const char *const table[] = {"/proc/self/mountinfo", NULL};
	len = pack(args, table);
	CHECK(rsp_mount_table(&options, args, len, &step) == RSP_DONE);
	// The strings in all lists, then for each mount four numbers and the lengths of four strings.
	CHECK(step.number > 0 && step.text_len > 8 + 64 * (size_t)step.number);
	const int64_t mounts = step.number;
	rsp_bytes_free(step.text, step.text_len);
	CHECK(rsp_list_mounts(&options, &step) == RSP_DONE && step.number == mounts);
	rsp_bytes_free(step.text, step.text_len);

	char volume[] = "/tmp/rustsubpath-c-XXXXXX";
	CHECK(mkdtemp(volume) != NULL);
	char target[128];
	snprintf(target, sizeof target, "%s/volume-subpaths/vol/c/0", volume);
	const char *const good[] = {volume, "vol", volume, volume, "c", NULL};
	len = pack(args, good);
	struct rsp_answer answer = {.kind = RSP_ANSWER_OK};

	// Each ends the operation in its own way when it comes to binding.
	for (int ending = 0; ending < 3; ending++) {
		CHECK(rsp_prepare_safe_subpath(&options, args, len, 0, &step) == RSP_QUESTION);
		CHECK(step.question == RSP_ASK_IS_MOUNT_POINT);
		CHECK(says(step.text, step.text_len, target));
		CHECK(rsp_resume(step.operation, &answer, NULL, 0, &step) == RSP_QUESTION);
		CHECK(step.question == RSP_ASK_BIND && step.source_len > 0);
		if (ending == 0) {
			rsp_operation_drop(step.operation);
		} else if (ending == 1) {
			struct rsp_answer aborted = {.kind = RSP_ANSWER_ABORTED};
			uint32_t state = rsp_resume(step.operation, &aborted, NULL, 0, &step);
			while (state == RSP_QUESTION)
				state = rsp_resume(step.operation, &answer, NULL, 0, &step);
			CHECK(state == RSP_ABORTED && step.error == NULL);
		} else {
			CHECK(rsp_resume(step.operation, &answer, NULL, 0, &step) == RSP_DONE);
			CHECK(says(step.buffer, step.text_len, target));
		}
	}
	CHECK(lines > 0);

	const char *const clean[] = {volume, "vol", NULL};
	len = pack(args, clean);
	uint32_t state = rsp_clean_sub_paths(&options, args, len, &step);
	while (state == RSP_QUESTION)
		state = rsp_resume(step.operation, &answer, NULL, 0, &step);
	CHECK(state == RSP_DONE);
	CHECK(remove(volume) == 0);
	return 0;
}
