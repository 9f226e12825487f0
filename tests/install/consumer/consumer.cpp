// SPDX-License-Identifier: MIT
//
// The same program as consumer.c, in C++17.
#include <cstddef>
#include <iostream>
#include <string>
#include <string_view>

#include <kirim/kirim.h>

namespace
{

const kirim_handler handler = [] {
    kirim_handler made{};
    made.size = sizeof made;
    made.received = [](kirim_endpoint *ep, const kirim_batch *batch, void *user) {
        *static_cast<std::size_t *>(user) += batch->count;
        kirim_loop_stop(kirim_endpoint_loop(ep));
    };
    return made;
}();

kirim_err exchange(kirim_loop *loop, std::size_t &received)
{
    kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.handler = &handler;
    options.user = &received;
    if (const kirim_err err = kirim_addr_parse("127.0.0.1:0", &options.local); err < 0) {
        return err;
    }
    kirim_endpoint *ep = nullptr;
    if (const kirim_err err = kirim_endpoint_open(loop, &options, &ep); err < 0) {
        return err;
    }
    constexpr std::string_view hello = "hello";
    const kirim_addr here = kirim_endpoint_local(ep);
    const kirim_err err = kirim_endpoint_send_to(ep, hello.data(), hello.size(), &here);
    return err < 0 ? err : kirim_loop_run(loop);
}

} // namespace

int main()
{
    const std::string compiled = std::to_string(KIRIM_VERSION_MAJOR) + "." +
                                 std::to_string(KIRIM_VERSION_MINOR) + "." +
                                 std::to_string(KIRIM_VERSION_PATCH);
    std::cout << "kirim " << compiled << ", reactors:";
    for (std::size_t i = 0; kirim_reactor_name(i) != nullptr; i++) {
        std::cout << ' ' << kirim_reactor_name(i);
    }
    kirim_loop *loop = nullptr;
    std::size_t received = 0;
    kirim_err err = kirim_loop_open(nullptr, &loop);
    if (err == KIRIM_OK) {
        err = exchange(loop, received);
        kirim_loop_close(loop);
    }
    std::cout << "\nreceived " << received << ": " << kirim_err_text(err) << '\n';
    return compiled == kirim_version() && received == 1 ? 0 : 1;
}
