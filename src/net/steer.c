/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The program that the kernel runs for each datagram of a shared port, and its tables.
 *
 * It is written out as instructions because it is short: fifty of them, which one can read here and which
 * need neither a second compiler for the build nor a loader at run time. The hard idea is that it cannot
 * fail: where anything is not as expected it falls through to the next way of choosing, and at last to the
 * kernel's.
 *
 *   1. the first 13 bytes: a record of type 25, then at 11 the connection id: format 4 bits, slot 12 bits
 *   2. slots[slot] is a node + 1, and that node's socket is open: it gets it
 *   3. live has nodes: live[hash of addresses and ports % number] gets it
 *   4. return without a choice: the kernel takes one of the group by its own hash
 *
 * The choice takes effect among sockets of the port's own group only, so each port has a table of sockets of
 * its own and with it a program of its own; slots and live are shared by all. Leaves out who is in which
 * slot.
 */

#include "net/steer.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct steer {
	struct steer_tables tables;
};

/* The kernel's form. */
struct live {
	uint32_t count;
	uint8_t nodes[STEER_NODES_MAX];
};

static int bpf(int command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

/* A bpf_attr has to be zero beyond what is said; padding, too. */
#define ATTR(name)           \
	union bpf_attr name; \
	memset(&name, 0, sizeof(name))

static int map_new(enum bpf_map_type type, uint32_t value_size, uint32_t entries)
{
	ATTR(attr);
	attr.map_type = type;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = value_size;
	attr.max_entries = entries;
	return bpf(BPF_MAP_CREATE, &attr);
}

static int map_set(int fd, uint32_t key, const void *value)
{
	ATTR(attr);
	attr.map_fd = (uint32_t)fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)value;
	attr.flags = BPF_ANY;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

/* ---- the program ---- */

#define INSN(op, dst, src, offset, value)                                                                  \
	{                                                                                                  \
		.code = (op), .dst_reg = (dst), .src_reg = (src), .off = (int16_t)(offset), .imm = (value) \
	}
#define MOV(dst, src) INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define MOV_IMM(dst, value) INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value)
#define ALU(op, dst, src) INSN(BPF_ALU64 | (op) | BPF_X, dst, src, 0, 0)
#define ALU_IMM(op, dst, value) INSN(BPF_ALU64 | (op) | BPF_K, dst, 0, 0, value)
#define LOAD(size, dst, src, offset) INSN(BPF_LDX | BPF_MEM | (size), dst, src, offset, 0)
#define STORE(dst, offset, src) INSN(BPF_STX | BPF_MEM | BPF_W, dst, src, offset, 0)
#define STORE_IMM(dst, offset, value) INSN(BPF_ST | BPF_MEM | BPF_W, dst, 0, offset, value)
#define JUMP_IF(op, dst, value, label) INSN(BPF_JMP | (op) | BPF_K, dst, 0, label, value)
/* Two instructions. */
#define MAP(dst, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define CALL(function) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* Not an instruction: where a jump of this name goes. */
#define LABEL(label) INSN(LABEL_CODE, 0, 0, label, 0)

enum { LABEL_CODE = 0xFF, BY_HASH = 1000, DONE, LABEL_END };

enum {
	UDP_HEADER = 8,
	CID_AT = 11, /* in a record: type 1, version 2, epoch 2, number 6 */
	LOOKED_AT = CID_AT + 2,
	RECORD_MIN = CID_AT + STEER_CID_LEN + 2,
	/* On the stack, below the frame pointer r10. */
	BYTES = -16,
	KEY = -24,
};

enum { PROGRAM_MAX = 80 };

/* Takes the labels out and lets the jumps know where they were. */
static uint32_t assemble(const struct bpf_insn *source, size_t count, struct bpf_insn out[PROGRAM_MAX])
{
	int at[LABEL_END - BY_HASH] = {0};
	int n = 0;

	for (size_t i = 0; i < count; i++) {
		if (source[i].code == LABEL_CODE)
			at[source[i].off - BY_HASH] = n;
		else
			out[n++] = source[i];
	}
	for (int i = 0; i < n; i++)
		if (out[i].off >= BY_HASH)
			out[i].off = (int16_t)(at[out[i].off - BY_HASH] - i - 1);
	return (uint32_t)n;
}

static int load(const struct bpf_insn *source, size_t count)
{
	struct bpf_insn program[PROGRAM_MAX];

	assert(count <= PROGRAM_MAX);
	ATTR(attr);
	attr.prog_type = BPF_PROG_TYPE_SK_REUSEPORT;
	attr.expected_attach_type = BPF_SK_REUSEPORT_SELECT;
	attr.insn_cnt = assemble(source, count, program);
	attr.insns = (uintptr_t)program;
	attr.license = (uintptr_t) "Apache-2.0";
	return bpf(BPF_PROG_LOAD, &attr);
}

static int load_program(const struct steer_tables *t, int sockets)
{
	/* r6 is the context all the time; calls take r1 to r5, return r0, and keep r6 to r9. */
	const struct bpf_insn source[] = {
		MOV(BPF_REG_6, BPF_REG_1),
		/* 1. the slot, in r7 */
		LOAD(BPF_W, BPF_REG_2, BPF_REG_6, offsetof(struct sk_reuseport_md, len)),
		JUMP_IF(BPF_JLT, BPF_REG_2, UDP_HEADER + RECORD_MIN, BY_HASH),
		MOV(BPF_REG_1, BPF_REG_6),
		MOV_IMM(BPF_REG_2, UDP_HEADER),
		MOV(BPF_REG_3, BPF_REG_10),
		ALU_IMM(BPF_ADD, BPF_REG_3, BYTES),
		MOV_IMM(BPF_REG_4, LOOKED_AT),
		CALL(BPF_FUNC_skb_load_bytes),
		JUMP_IF(BPF_JNE, BPF_REG_0, 0, BY_HASH),
		LOAD(BPF_B, BPF_REG_1, BPF_REG_10, BYTES),
		JUMP_IF(BPF_JNE, BPF_REG_1, STEER_RECORD_TYPE, BY_HASH),
		LOAD(BPF_B, BPF_REG_7, BPF_REG_10, BYTES + CID_AT),
		MOV(BPF_REG_1, BPF_REG_7),
		ALU_IMM(BPF_RSH, BPF_REG_1, 4),
		JUMP_IF(BPF_JNE, BPF_REG_1, STEER_CID_FORMAT, BY_HASH),
		ALU_IMM(BPF_AND, BPF_REG_7, 15),
		ALU_IMM(BPF_LSH, BPF_REG_7, 8),
		LOAD(BPF_B, BPF_REG_1, BPF_REG_10, BYTES + CID_AT + 1),
		ALU(BPF_OR, BPF_REG_7, BPF_REG_1),
		/* 2. its node's socket */
		STORE_IMM(BPF_REG_10, KEY, 0),
		MAP(BPF_REG_1, t->slots),
		MOV(BPF_REG_2, BPF_REG_10),
		ALU_IMM(BPF_ADD, BPF_REG_2, KEY),
		CALL(BPF_FUNC_map_lookup_elem),
		JUMP_IF(BPF_JEQ, BPF_REG_0, 0, BY_HASH),
		ALU(BPF_ADD, BPF_REG_0, BPF_REG_7),
		LOAD(BPF_B, BPF_REG_1, BPF_REG_0, 0),
		JUMP_IF(BPF_JEQ, BPF_REG_1, 0, BY_HASH),
		ALU_IMM(BPF_SUB, BPF_REG_1, 1),
		STORE(BPF_REG_10, KEY, BPF_REG_1),
		MOV(BPF_REG_1, BPF_REG_6),
		MAP(BPF_REG_2, sockets),
		MOV(BPF_REG_3, BPF_REG_10),
		ALU_IMM(BPF_ADD, BPF_REG_3, KEY),
		MOV_IMM(BPF_REG_4, 0),
		CALL(BPF_FUNC_sk_select_reuseport),
		JUMP_IF(BPF_JEQ, BPF_REG_0, 0, DONE),
		/* 3. one of those that live */
		LABEL(BY_HASH),
		STORE_IMM(BPF_REG_10, KEY, 0),
		MAP(BPF_REG_1, t->live),
		MOV(BPF_REG_2, BPF_REG_10),
		ALU_IMM(BPF_ADD, BPF_REG_2, KEY),
		CALL(BPF_FUNC_map_lookup_elem),
		JUMP_IF(BPF_JEQ, BPF_REG_0, 0, DONE),
		LOAD(BPF_W, BPF_REG_1, BPF_REG_0, offsetof(struct live, count)),
		JUMP_IF(BPF_JEQ, BPF_REG_1, 0, DONE),
		LOAD(BPF_W, BPF_REG_2, BPF_REG_6, offsetof(struct sk_reuseport_md, hash)),
		ALU(BPF_MOD, BPF_REG_2, BPF_REG_1),
		ALU_IMM(BPF_AND, BPF_REG_2, STEER_NODES_MAX - 1), /* for the verifier: it is less */
		ALU(BPF_ADD, BPF_REG_0, BPF_REG_2),
		LOAD(BPF_B, BPF_REG_1, BPF_REG_0, offsetof(struct live, nodes)),
		STORE(BPF_REG_10, KEY, BPF_REG_1),
		MOV(BPF_REG_1, BPF_REG_6),
		MAP(BPF_REG_2, sockets),
		MOV(BPF_REG_3, BPF_REG_10),
		ALU_IMM(BPF_ADD, BPF_REG_3, KEY),
		MOV_IMM(BPF_REG_4, 0),
		CALL(BPF_FUNC_sk_select_reuseport),
		/* 4. whatever came of it */
		LABEL(DONE),
		MOV_IMM(BPF_REG_0, SK_PASS),
		EXIT(),
	};

	return load(source, ARRAY_SIZE(source));
}

/* ---- ports ---- */

static int fill(int sockets, const int *fds, size_t count)
{
	int err = 0;

	for (uint32_t i = 0; i < count && err == 0; i++) {
		uint64_t fd = (uint32_t)fds[i];

		err = map_set(sockets, i, &fd);
	}
	return err;
}

/* The group keeps the program, and that the table of sockets. */
int steer_attach(const struct steer *s, const int *fds, size_t count)
{
	int sockets, program, err;

	assert(count > 0 && count <= STEER_NODES_MAX);
	sockets = map_new(BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, sizeof(uint64_t), (uint32_t)count);
	if (sockets < 0)
		return sockets;
	err = fill(sockets, fds, count);
	program = err < 0 ? err : load_program(&s->tables, sockets);
	err = MIN(program, 0);
	if (err == 0 &&
	    setsockopt(fds[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program)) < 0)
		err = -errno;
	if (program >= 0)
		close(program);
	close(sockets);
	return err;
}

/* ---- tables ---- */

int steer_set_slots(int slots_fd, const uint8_t node_of_slot[STEER_SLOTS])
{
	uint8_t value[STEER_SLOTS];

	/* The kernel's tables begin as zeroes, which have to mean nobody. */
	for (size_t i = 0; i < STEER_SLOTS; i++)
		value[i] = node_of_slot[i] < STEER_NODES_MAX ? (uint8_t)(node_of_slot[i] + 1) : 0;
	return map_set(slots_fd, 0, value);
}

int steer_set_live(int live_fd, uint64_t nodes)
{
	struct live live = {0};

	for (uint8_t i = 0; i < STEER_NODES_MAX; i++)
		if (nodes >> i & 1)
			live.nodes[live.count++] = i;
	return map_set(live_fd, 0, &live);
}

struct steer_tables steer_tables(const struct steer *s)
{
	return s->tables;
}

int steer_new(struct steer **out)
{
	struct steer *s = calloc(1, sizeof(*s));
	int err;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->tables.slots = map_new(BPF_MAP_TYPE_ARRAY, STEER_SLOTS, 1);
	s->tables.live = s->tables.slots < 0 ? -1 : map_new(BPF_MAP_TYPE_ARRAY, sizeof(struct live), 1);
	err = s->tables.slots < 0 ? s->tables.slots : MIN(s->tables.live, 0);
	if (err < 0)
		s = steer_free(s);
	*out = s;
	return err;
}

struct steer *steer_free(struct steer *s)
{
	if (!s)
		return NULL;
	if (s->tables.slots >= 0)
		close(s->tables.slots);
	if (s->tables.live >= 0)
		close(s->tables.live);
	free(s);
	return NULL;
}
