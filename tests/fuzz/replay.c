/* SPDX-License-Identifier: MIT
 *
 * Gives the files that the command line names to a fuzz target, one after the other: the corpus as
 * a test, with any compiler.
 */
#include "fuzz.h"

enum { INPUT_BYTES_MAX = 1 << 20 };

static int replay_file(const char *path)
{
    FILE *const file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return EXIT_FAILURE;
    }
    uint8_t *const room = malloc(INPUT_BYTES_MAX);
    FUZZ_CLAIM(room != NULL);
    const size_t bytes = fread(room, 1, INPUT_BYTES_MAX, file);
    (void)fclose(file);
    uint8_t *const input = malloc(bytes > 0 ? bytes : 1); /* so that a sanitizer sees its end */
    FUZZ_CLAIM(input != NULL);
    for (size_t i = 0; i < bytes; i++) {
        input[i] = room[i];
    }
    (void)LLVMFuzzerTestOneInput(input, bytes);
    free(input);
    free(room);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: %s FILE...\n", argv[0]);
        return EXIT_FAILURE;
    }
    for (int i = 1; i < argc; i++) {
        if (replay_file(argv[i]) != EXIT_SUCCESS) {
            return EXIT_FAILURE;
        }
    }
    (void)printf("%d files\n", argc - 1);
    return EXIT_SUCCESS;
}
