// SPDX-License-Identifier: LGPL-2.1-or-later
/* CRC-32C: by the CPU's instruction, which all with VMX and EPT have; else bit by bit. */
#include "save.h"

#define POLYNOMIAL	0x82f63b78U

__attribute__((target("sse4.2")))
static uint32_t crc_by_cpu(uint32_t crc, const uint8_t *data, size_t bytes)
{
	uint64_t word, sum = crc;

	for (; bytes >= sizeof(word); data += sizeof(word), bytes -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		sum = __builtin_ia32_crc32di(sum, word);
	}
	crc = sum;
	while (bytes--)
		crc = __builtin_ia32_crc32qi(crc, *data++);
	return crc;
}

uint32_t crc_by_bit(uint32_t crc, const uint8_t *data, size_t bytes)
{
	while (bytes--) {
		crc ^= *data++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
	}
	return crc;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t bytes)
{
	return ~(__builtin_cpu_supports("sse4.2") ? crc_by_cpu : crc_by_bit)(~crc, data, bytes);
}

uint32_t crc_of_pages(uint32_t crc, const uint8_t *data, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += PAGE_BYTES) {
		if (page_is_zero(data + at))
			continue;
		crc = crc32c(crc, &at, sizeof(at));
		crc = crc32c(crc, data + at, PAGE_BYTES);
	}
	return crc;
}
