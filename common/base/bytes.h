/* SPDX-License-Identifier: ISC */
/* Fixed-width integers as big-endian bytes: the order of LMDB keys and of IPC frames. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdint.h>

static inline void
put_u16(void *at, uint16_t v)
{
	uint8_t *p = at;

	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
put_u32(void *at, uint32_t v)
{
	uint8_t *p = at;

	put_u16(p, (uint16_t)(v >> 16));
	put_u16(p + 2, (uint16_t)v);
}

static inline void
put_u64(void *at, uint64_t v)
{
	uint8_t *p = at;

	put_u32(p, (uint32_t)(v >> 32));
	put_u32(p + 4, (uint32_t)v);
}

static inline uint16_t
get_u16(const void *at)
{
	const uint8_t *p = at;

	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
get_u32(const void *at)
{
	const uint8_t *p = at;

	return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

static inline uint64_t
get_u64(const void *at)
{
	const uint8_t *p = at;

	return (uint64_t)get_u32(p) << 32 | get_u32(p + 4);
}

#endif
