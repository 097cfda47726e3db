/* base/machine.h: how much of the machine this process may use. root is where /proc and /sys are
 * looked for: "" in earnest, a directory of made-up files in tests. */
#ifndef CM_BASE_MACHINE_H
#define CM_BASE_MACHINE_H

#include <stdint.h>

/* Bytes of memory that can still be had: the least of MemAvailable and what the control groups
 * leave, as far as they can be read; 0 when nothing can. */
uint64_t cm_machine_memory(const char *root);

/* CPUs that the control groups' quotas pay for, rounded up; 0 when there is no quota. */
int cm_machine_cpu_quota(const char *root);

#endif
