/* SPDX-License-Identifier: MIT
 *
 * The same work on Asio: echo, sink and source.
 *
 *   async   async_receive_from and async_send_to: each begun in the other's handler
 *   sync    async_receive_from, answered by send_to at once
 *
 * One receive is outstanding at a time, since Asio has no batches. A source posts 64 sends (sync),
 * or sends the next datagram when one has left (async). Asio counts no calls: one is counted for
 * each datagram. Owns its context and socket until exit. One thread, and Asio is told so. Sources:
 * asio/ip/udp.hpp, asio/posix/stream_descriptor.hpp, https://think-async.com/Asio/.
 */
#include "common.h"

#define ASIO_STANDALONE 1
#include <array>
#include <asio.hpp>
#include <cstdlib>
#include <iostream>
#include <vector>

namespace
{

using asio::ip::udp;

enum { VARIANT_ASYNC, VARIANT_SYNC };

const char *const variants[] = { "async", "sync", nullptr };
const bench_program program = { "peer_asio", variants, BENCH_MODE_COUNT, nullptr };

class Peer
{
  public:
    Peer(const bench_options &o, int fd)
        : options(o), counts(), context(1), socket(context), stop(context),
          memory(BENCH_SLOT_BYTES), header(0), sequence(0), destination(0)
    {
        socket.assign(udp::v4(), fd);
        socket.non_blocking(true);
        stop.assign(bench_stop_fd);
        stop.async_wait(asio::posix::stream_descriptor::wait_read,
                        [this](const asio::error_code &) { context.stop(); });
    }

    void run()
    {
        if (options.mode == BENCH_SOURCE) {
            make_destinations();
            send_next();
        } else {
            receive();
        }
        context.run();
        bench_end(&options, &counts);
    }

  private:
    void receive()
    {
        socket.async_receive_from(
            asio::buffer(memory), sender,
            [this](const asio::error_code &err, std::size_t bytes) { received(err, bytes); });
    }

    void received(const asio::error_code &err, std::size_t bytes)
    {
        counts.rx_calls++;
        counts.rx += err ? 0 : 1;
        if (err || options.mode == BENCH_SINK) {
            receive();
        } else if (options.variant == VARIANT_SYNC) {
            asio::error_code send_err;
            socket.send_to(asio::buffer(memory.data(), bytes), sender, 0, send_err);
            sent(send_err);
            receive();
        } else {
            socket.async_send_to(asio::buffer(memory.data(), bytes), sender,
                                 [this](const asio::error_code &send_err, std::size_t) {
                                     sent(send_err);
                                     receive();
                                 });
        }
    }

    void sent(const asio::error_code &err)
    {
        counts.tx_calls++;
        counts.tx += err ? 0 : 1;
        counts.drop += err ? 1 : 0;
    }

    void make_destinations()
    {
        sockaddr_in *const names = bench_make_destinations(&options);
        for (std::uint64_t i = 0; i < options.peer_count; i++) {
            destinations.emplace_back(asio::ip::address_v4(ntohl(names[i].sin_addr.s_addr)),
                                      ntohs(names[i].sin_port));
        }
        std::free(names);
    }

    std::array<asio::const_buffer, 2> make_datagram()
    {
        header = sequence++;
        return { { asio::buffer(&header, BENCH_HEADER_BYTES),
                   asio::buffer(memory.data(), options.payload_bytes - BENCH_HEADER_BYTES) } };
    }

    const udp::endpoint &next_destination()
    {
        const udp::endpoint &now = destinations[destination];
        destination = destination + 1 == destinations.size() ? 0 : destination + 1;
        return now;
    }

    bool is_done() const
    {
        return options.count_max != 0 && sequence == options.count_max;
    }

    void send_next()
    {
        if (is_done()) {
            context.stop();
        } else if (options.variant == VARIANT_SYNC) {
            for (unsigned i = 0; i < BENCH_BATCH_COUNT && !is_done(); i++) {
                asio::error_code err;
                socket.send_to(make_datagram(), next_destination(), 0, err);
                sent(err);
            }
            asio::post(context, [this] { send_next(); });
        } else {
            socket.async_send_to(make_datagram(), next_destination(),
                                 [this](const asio::error_code &err, std::size_t) {
                                     sent(err);
                                     send_next();
                                 });
        }
    }

    bench_options options;
    bench_counts counts;
    asio::io_context context;
    udp::socket socket;
    asio::posix::stream_descriptor stop;
    udp::endpoint sender;
    std::vector<unsigned char> memory;
    std::vector<udp::endpoint> destinations;
    std::uint64_t header;
    std::uint64_t sequence;
    std::size_t destination;
};

} // namespace

int main(int argc, char **argv)
{
    bench_options options;
    bench_parse(&options, &program, argc, argv);
    const int fd = bench_open_bound(&options);
    bench_catch_stop(&options);
    try {
        Peer peer(options, fd);
        bench_begin(fd);
        peer.run();
    } catch (const std::exception &err) {
        std::cerr << "peer_asio: " << err.what() << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
