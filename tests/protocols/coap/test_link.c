/* SPDX-License-Identifier: MIT
 *
 * Claims about /.well-known/core.
 */
#include "server_kit.h"

static const struct {
    const char *query, *links;
} filters[] = {
    { NULL, "</a>,</s/t>;rt=\"temp x\";if=\"sensor\";ct=0,</s/u>;rt=\"light\";title=\"a;b\";obs" },
    { "rt=temp", "</s/t>;rt=\"temp x\";if=\"sensor\";ct=0" },
    { "rt=x", "</s/t>;rt=\"temp x\";if=\"sensor\";ct=0" },
    { "rt=tem*", "</s/t>;rt=\"temp x\";if=\"sensor\";ct=0" },
    { "rt=temp x", "</s/t>;rt=\"temp x\";if=\"sensor\";ct=0" },
    { "rt=*", "</s/t>;rt=\"temp x\";if=\"sensor\";ct=0,</s/u>;rt=\"light\";title=\"a;b\";obs" },
    { "title=a;b", "</s/u>;rt=\"light\";title=\"a;b\";obs" },
    { "ct=0", "</s/t>;rt=\"temp x\";if=\"sensor\";ct=0" },
    { "href=/s/u", "</s/u>;rt=\"light\";title=\"a;b\";obs" },
    { "href=/a*", "</a>" },
    { "rt=tem", "" },
    { "foo", "" },
    { "b=1", "" },
};

START_TEST(links_are_filtered)
{
    static struct thing t;
    static struct thing u;
    static struct thing hidden;
    struct kit_message get = { .code = 1,
                               .id = 1,
                               .options = { { 11, ".well-known", 0 }, { 11, "core", 0 } } };
    struct kirim_coap_resource core = kirim_coap_core_resource();
    begin();
    add_thing(&side, &t, "s/t", 0);
    add_thing(&side, &u, "s/u", KIRIM_COAP_OBSERVABLE);
    add_thing(&side, &hidden, "hidden", KIRIM_COAP_UNLISTED);
    t.resource.attributes = "rt=\"temp x\";if=\"sensor\";ct=0";
    u.resource.attributes = "rt=\"light\";title=\"a;b\"";
    ck_assert_int_eq(kirim_coap_resource_add(&side.node, &core), KIRIM_OK);
    if (filters[_i].query != NULL) {
        get.options[2] = (struct kit_option){ 15, filters[_i].query, 0 };
    }
    kit_say(&side, &get);
    const struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert_uint_eq(kit_fields(&m).content_format, KIRIM_COAP_FORMAT_LINKS);
    ck_assert_uint_eq(m.payload.bytes, strlen(filters[_i].links));
    ck_assert(kirim_coap_span_equal(m.payload, kirim_coap_span_text(filters[_i].links)));
    kit_close(&side);
}
END_TEST

START_TEST(links_in_blocks_are_of_one_state)
{
    static struct thing t[3];
    struct kit_message get = { .code = 1,
                               .id = 1,
                               .options = {
                                   { 11, ".well-known", 0 }, { 11, "core", 0 }, { 23, NULL, 0 } } };
    struct kirim_coap_resource core = kirim_coap_core_resource();
    begin();
    add_thing(&side, &t[0], "long-name-0", 0);
    add_thing(&side, &t[1], "long-name-1", 0);
    add_thing(&side, &t[2], "long-name-2", 0);
    ck_assert_int_eq(kirim_coap_resource_add(&side.node, &core), KIRIM_OK);
    uint8_t etag[8];
    for (uint32_t i = 0; i < 3; i++) {
        get.id++;
        get.options[2].value = i << 4;
        if (i == 2) {
            kirim_coap_resource_remove(&side.node, &t[0].resource, side.now_ns);
        }
        kit_say(&side, &get);
        const struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
        const struct kirim_coap_span tag = kit_fields(&m).etag;
        ck_assert_uint_eq(tag.bytes, sizeof etag);
        if (i > 0) {
            ck_assert_int_eq(memcmp(etag, tag.data, sizeof etag) == 0, i == 1);
        }
        memcpy(etag, tag.data, sizeof etag);
    }
    kit_close(&side);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { links_are_filtered, COUNT_OF(filters) },
        { links_in_blocks_are_of_one_state, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap link", claims);
}
