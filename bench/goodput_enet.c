/* SPDX-License-Identifier: MIT
 *
 * Goodput of ENet's reliable packets, in one of its channels: see goodput.h. Its windows are its
 * own: at most 64 KiB are under way.
 */
#include <stdlib.h>

#include <enet/enet.h>

#include "goodput.h"

enum { WAITING_MAX = 64, SERVICE_MS = 5 };

static const uint64_t NS_PER_SECOND = 1000000000;

static unsigned waiting_count;

static void on_gone(ENetPacket *packet)
{
    (void)packet;
    waiting_count--;
}

static void serve(struct goodput *g)
{
    ENetAddress at = { .host = ENET_HOST_ANY, .port = g->port };
    ENetHost *const host = enet_host_create(&at, 1, 1, 0, 0);
    ENetEvent event;
    if (host == NULL) {
        goodput_fail(g, "cannot listen");
    }
    goodput_say_ready(g);
    while (!goodput_is_over()) {
        if (enet_host_service(host, &event, SERVICE_MS) > 0 &&
            event.type == ENET_EVENT_TYPE_RECEIVE) {
            goodput_add(g, event.packet->dataLength);
            enet_packet_destroy(event.packet);
        }
    }
    goodput_print(g);
    enet_host_destroy(host);
}

static void fill(const struct goodput *g, ENetPeer *peer)
{
    static char message[GOODPUT_MESSAGE_BYTES];
    while (waiting_count < WAITING_MAX) {
        ENetPacket *const packet =
            enet_packet_create(message, sizeof message, ENET_PACKET_FLAG_RELIABLE);
        if (packet != NULL) {
            packet->freeCallback = on_gone;
            waiting_count++;
        }
        if (packet == NULL || enet_peer_send(peer, 0, packet) < 0) {
            goodput_fail(g, "cannot send");
        }
    }
}

static void send_all(struct goodput *g)
{
    ENetHost *const host = enet_host_create(NULL, 1, 1, 0, 0);
    ENetAddress at = { .port = g->port };
    ENetEvent event;
    if (host == NULL || enet_address_set_host_ip(&at, g->addr) < 0) {
        goodput_fail(g, "no address");
    }
    ENetPeer *const peer = enet_host_connect(host, &at, 1, 0);
    if (peer == NULL) {
        goodput_fail(g, "cannot connect");
    }
    const uint64_t end_ns = goodput_now_ns() + (g->seconds + GOODPUT_TAIL_SECONDS) * NS_PER_SECOND;
    while (goodput_now_ns() < end_ns) {
        if (peer->state == ENET_PEER_STATE_CONNECTED) {
            fill(g, peer);
        }
        if (enet_host_service(host, &event, 1) > 0 && event.type == ENET_EVENT_TYPE_DISCONNECT) {
            goodput_fail(g, "disconnected");
        }
    }
    enet_host_destroy(host);
}

int main(int argc, char **argv)
{
    struct goodput g;
    goodput_parse(&g, argc, argv);
    if (enet_initialize() != 0) {
        goodput_fail(&g, "ENet does not begin");
    }
    if (g.is_server) {
        serve(&g);
    } else {
        send_all(&g);
    }
    enet_deinitialize();
    return EXIT_SUCCESS;
}
