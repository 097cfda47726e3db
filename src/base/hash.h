/* base/hash.h: checksums of file formats. Each takes the running value and returns the new one. */
#ifndef CM_BASE_HASH_H
#define CM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli), RFC 3720 B.4; start with 0. Uses the CPU's instruction when it has one. */
uint32_t cm_crc32c(uint32_t crc, const void *data, size_t nbytes);
/* The table-driven reference that the test holds the other to. */
uint32_t cm_crc32c_scalar(uint32_t crc, const void *data, size_t nbytes);

/* Bob Jenkins' lookup3 hashlittle(), initval 0: HDF5's metadata checksum. */
uint32_t cm_lookup3(const void *data, size_t nbytes);
uint32_t cm_lookup3_from(uint32_t initval, const void *data, size_t nbytes);

/* HDF5's fletcher32 over 16-bit big-endian words (H5checksum.c's H5_checksum_fletcher32). */
uint32_t cm_fletcher32(const void *data, size_t nbytes);

#endif
