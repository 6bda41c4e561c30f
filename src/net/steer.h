/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/*
 * Several processes of one machine share a UDP port: which of them gets a datagram. A record under a
 * connection id of ours (RFC 9146; architecture, Connection IDs and slots) goes to whose the id's slot is;
 * all else to one of those that live, by a hash of its addresses and ports, so that a device without
 * connection id stays where it is. Only a hint: anybody can write a connection id, and who gets a datagram of
 * another's device deals with it.
 *
 * The kernel does it (BPF, SO_ATTACH_REUSEPORT_EBPF), which needs CAP_BPF and CAP_NET_ADMIN; without it
 * sockets with SO_REUSEPORT share by the kernel's own hash, which moves devices when one of them closes.
 */

enum { STEER_SLOTS = 4096, STEER_NODES_MAX = 64 };
/* How a record that has a connection id of ours begins to be told: type, and the upper half of the id's first
 * byte. */
enum { STEER_RECORD_TYPE = 25, STEER_CID_FORMAT = 1, STEER_CID_LEN = 8 };

struct steer;

/* Two tables of the kernel: whose each slot is (nobody's), and who lives (nobody). < 0: -EPERM and other
 * errors of bpf(2). */
int steer_new(struct steer **out) NODISCARD;
/* The ports go on as they were told last. */
struct steer *steer_free(struct steer *s);

/*
 * The sockets of one port, index i for node i: bound with SO_REUSEPORT, all to one address, and no others.
 * They may be closed, and belong to other processes, afterwards. At most STEER_NODES_MAX. May be called for
 * many ports.
 */
int steer_attach(const struct steer *s, const int *fds, size_t count) NODISCARD;

/* For processes that were started with descriptors of the tables; both stay open. */
struct steer_tables {
	int slots, live;
};
struct steer_tables steer_tables(const struct steer *s);

/* Whose each slot is: an index, or STEER_NODES_MAX and above: of nobody here. By any process that has the
 * table. */
int steer_set_slots(int slots_fd, const uint8_t node_of_slot[STEER_SLOTS]);
/* Who lives: bit i is node i. With none the kernel's hash decides. */
int steer_set_live(int live_fd, uint64_t nodes);
