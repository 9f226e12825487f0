/* SPDX-License-Identifier: MIT
 *
 * Claims about the names that a server takes, by a table.
 */
#include "kit.h"

/* `path` NULL: refused. */
static const struct {
    const char *name, *path;
} names[] = {
    { "f", "f" },
    { "/f", "f" },
    { "//a///b", "a/b" },
    { "./a/./b", "a/b" },
    { "a/b/c.txt", "a/b/c.txt" },
    { ".hidden", ".hidden" },
    { "a b", "a b" },
    { "...x", "...x" },
    { "\xc3\xa4", "\xc3\xa4" },
    { "COM", "COM" },
    { "COM10", "COM10" },
    { "CONSOLE", "CONSOLE" },
    { "nulls.txt", "nulls.txt" },
    { "lptx", "lptx" },
    { "/etc/passwd", "etc/passwd" }, /* below the root */
    { "", NULL },
    { "/", NULL },
    { ".", NULL },
    { "./", NULL },
    { "a/", NULL },
    { "..", NULL },
    { "../f", NULL },
    { "/../f", NULL },
    { "a/../f", NULL },
    { "a/..", NULL },
    { "a/...", NULL },
    { "..\\f", NULL },
    { "a\\b", NULL },
    { "\\\\host\\share", NULL },
    { "C:", NULL },
    { "C:/f", NULL },
    { "c:f", NULL },
    { "f:stream", NULL },
    { "f::$DATA", NULL },
    { "f.", NULL },
    { "f ", NULL },
    { "a /f", NULL },
    { "a./f", NULL },
    { "a*", NULL },
    { "a?", NULL },
    { "a|b", NULL },
    { "<a>", NULL },
    { "a\"", NULL },
    { "a\nb", NULL },
    { "a\x7f", NULL },
    { "\x01", NULL },
    { "CON", NULL },
    { "con", NULL },
    { "Con.txt", NULL },
    { "con .txt", NULL },
    { "a/nul", NULL },
    { "aux/f", NULL },
    { "PRN.a.b", NULL },
    { "COM1", NULL },
    { "com0.x", NULL },
    { "lpt9", NULL },
    { "LPT\xc2\xb2", NULL },
    { "com\xb3.txt", NULL },
    { "CONIN$", NULL },
    { "conout$", NULL },
    { "clock$", NULL },
};

static kirim_err check(const char *name, char path[KIRIM_TFTP_PATH_BYTES_MAX])
{
    const struct kirim_tftp_span span = { (const uint8_t *)name, strlen(name) };
    return kirim_tftp_path_check(span, path);
}

START_TEST(name_is_taken_or_refused)
{
    char path[KIRIM_TFTP_PATH_BYTES_MAX] = "untouched";
    const bool is_taken = names[_i].path != NULL;
    ck_assert_int_eq(check(names[_i].name, path), is_taken ? KIRIM_OK : KIRIM_EACCES);
    ck_assert_str_eq(path, is_taken ? names[_i].path : "untouched");
}
END_TEST

START_TEST(bounds_of_a_name)
{
    char path[KIRIM_TFTP_PATH_BYTES_MAX];
    char name[1024];
    for (size_t bytes = 254; bytes <= 256; bytes++) {
        memset(name, 'n', bytes);
        name[bytes] = '\0';
        ck_assert_int_eq(check(name, path), bytes <= 255 ? KIRIM_OK : KIRIM_EACCES);
    }
    for (size_t count = 31; count <= 33; count++) {
        for (size_t i = 0; i < count; i++) {
            name[2 * i] = 'd';
            name[2 * i + 1] = '/';
        }
        name[2 * count - 1] = '\0';
        ck_assert_int_eq(check(name, path), count <= 32 ? KIRIM_OK : KIRIM_EACCES);
    }
    for (size_t bytes = 510; bytes <= 513; bytes++) {
        memset(name, 'n', bytes);
        name[bytes] = '\0';
        name[200] = '/';
        name[400] = '/';
        ck_assert_int_eq(check(name, path), bytes <= 511 ? KIRIM_OK : KIRIM_EACCES);
    }
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { name_is_taken_or_refused, COUNT_OF(names) },
        { bounds_of_a_name, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/tftp path", claims);
}
