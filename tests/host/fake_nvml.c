/* A library that answers as libnvidia-ml.so.1 does, by the environment variable FAKE_NVML:
 * healthy, init9, init18, lost, sick (double-bit errors, pending rows, throttling), zero, xid, wedged.
 * Compiled with -DOLD it lacks the newer symbols. Layouts are those of nvml.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef struct { int index; } gpu_t;

static gpu_t gpus[2] = {{0}, {1}};
static int told;

static int mode(const char *name)
{
    const char *value = getenv("FAKE_NVML");
    return strcmp(value ? value : "healthy", name) == 0;
}

static int gone(gpu_t *gpu) { return mode("lost") && gpu->index == 1; }

#define GPU_OR_LOST(gpu) do { if (gone(gpu)) return 15; } while (0)

int nvmlInit_v2(void)
{
    if (mode("wedged")) for (;;) pause();
    return mode("init9") ? 9 : mode("init18") ? 18 : 0;
}
int nvmlInitWithFlags(u32 flags) { (void)flags; return nvmlInit_v2(); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { (void)code; return "an error"; }
int nvmlSystemGetDriverVersion(char *out, u32 size) { strncpy(out, "550.54.15", size); return 0; }
int nvmlSystemGetNVMLVersion(char *out, u32 size) { strncpy(out, "12.550.54.15", size); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { *out = 12040; return 0; }
int nvmlDeviceGetCount_v2(u32 *out) { *out = mode("zero") ? 0 : 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(u32 index, gpu_t **out)
{
    if (mode("lost") && index == 1) return 15;
    *out = &gpus[index];
    return 0;
}
int nvmlDeviceGetUUID(gpu_t *gpu, char *out, u32 size)
{
    GPU_OR_LOST(gpu);
    strncpy(out, gpu->index ? "GPU-11111111-2222-3333-4444-555555555555" : "GPU-00000000-2222-3333-4444-555555555555", size);
    return 0;
}
int nvmlDeviceGetName(gpu_t *gpu, char *out, u32 size) { GPU_OR_LOST(gpu); strncpy(out, "NVIDIA H100 80GB HBM3", size); return 0; }
int nvmlDeviceGetPciInfo_v3(gpu_t *gpu, char *out)
{
    memset(out, 0, 68);
    strcpy(out + 36, gpu->index ? "00000000:5E:00.0" : "00000000:3B:00.0");
    return 0;
}
int nvmlDeviceGetTemperature(gpu_t *gpu, u32 sensor, u32 *out) { (void)gpu; (void)sensor; *out = mode("sick") ? 88 : 41; return 0; }
int nvmlDeviceGetMemoryInfo(gpu_t *gpu, u64 *out) { (void)gpu; out[0] = 85899345920ULL; out[1] = 64424509440ULL; out[2] = 21474836480ULL; return 0; }
int nvmlDeviceGetUtilizationRates(gpu_t *gpu, u32 *out) { (void)gpu; out[0] = 97; out[1] = 40; return 0; }
int nvmlDeviceGetPowerUsage(gpu_t *gpu, u32 *out) { (void)gpu; *out = 402500; return 0; }
int nvmlDeviceGetEnforcedPowerLimit(gpu_t *gpu, u32 *out) { (void)gpu; *out = 700000; return 0; }
int nvmlDeviceGetClockInfo(gpu_t *gpu, u32 kind, u32 *out) { (void)gpu; *out = kind == 2 ? 2619 : 1755; return 0; }
int nvmlDeviceGetTotalEccErrors(gpu_t *gpu, u32 kind, u32 counter, u64 *out)
{
    (void)gpu; (void)counter;
    *out = kind == 1 && mode("sick") ? 3 : 0;
    return 0;
}
int nvmlDeviceGetCurrPcieLinkGeneration(gpu_t *gpu, u32 *out) { (void)gpu; *out = 5; return 0; }
int nvmlDeviceGetCurrPcieLinkWidth(gpu_t *gpu, u32 *out) { (void)gpu; *out = 16; return 0; }
int nvmlDeviceGetMaxPcieLinkWidth(gpu_t *gpu, u32 *out) { (void)gpu; *out = 16; return 0; }
int nvmlDeviceGetPcieReplayCounter(gpu_t *gpu, u32 *out) { (void)gpu; *out = 7; return 0; }
int nvmlDeviceGetNvLinkState(gpu_t *gpu, u32 link, u32 *out) { (void)gpu; *out = 1; return link < 4 ? 0 : 2; }
int nvmlDeviceGetNvLinkErrorCounter(gpu_t *gpu, u32 link, u32 counter, u64 *out) { (void)gpu; (void)link; *out = counter; return 0; }

typedef struct { u32 pid; u64 memory; u32 gpu_instance, compute_instance; } process_t;
int nvmlDeviceGetComputeRunningProcesses_v3(gpu_t *gpu, u32 *count, process_t *out)
{
    (void)gpu;
    if (*count < 1) { *count = 1; return 7; }
    *count = 1;
    out[0] = (process_t){4711, 1073741824ULL, 0xFFFFFFFF, 0xFFFFFFFF};
    return 0;
}

int nvmlEventSetCreate(void **set) { *set = &told; return 0; }
int nvmlDeviceGetSupportedEventTypes(gpu_t *gpu, u64 *out) { (void)gpu; *out = 8 | 2; return 0; }
int nvmlDeviceRegisterEvents(gpu_t *gpu, u64 kinds, void *set) { (void)gpu; (void)kinds; (void)set; return 0; }
typedef struct { gpu_t *gpu; u64 kind, data; u32 gpu_instance, compute_instance; } event_t;
int nvmlEventSetWait_v2(void *set, event_t *out, u32 timeout_ms)
{
    (void)set; (void)timeout_ms;
    if (!mode("xid") || told++) return 10;
    *out = (event_t){&gpus[0], 8, 119, 0xFFFFFFFF, 0xFFFFFFFF};
    return 0;
}

#ifndef OLD
int nvmlDeviceGetCurrentClocksEventReasons(gpu_t *gpu, u64 *out) { (void)gpu; *out = mode("sick") ? 0x48 : 0; return 0; }
int nvmlDeviceGetRemappedRows(gpu_t *gpu, u32 *corrected, u32 *uncorrected, u32 *pending, u32 *failed)
{
    (void)gpu;
    *corrected = 0; *uncorrected = mode("sick"); *pending = mode("sick"); *failed = 0;
    return 0;
}
int nvmlDeviceGetMarginTemperature(gpu_t *gpu, u32 *out) { (void)gpu; if (out[0] != 0x1000008) return 25; out[1] = mode("sick") ? 2 : 46; return 0; }
typedef struct { u32 field, scope; long long at, latency; u32 type; int status; u64 value; } field_t;
int nvmlDeviceGetFieldValues(gpu_t *gpu, int count, field_t *rows)
{
    (void)gpu;
    for (int i = 0; i < count; i++) {
        rows[i].status = 0;
        rows[i].type = 1;
        rows[i].value = 0;
        switch (rows[i].field) {
        case 82: rows[i].value = 50; break;
        case 215: rows[i].type = 3; rows[i].value = rows[i].scope + 1; break;
        case 230: rows[i].value = mode("sick") ? 4 : 0; break;
        case 196: rows[i].type = 5; rows[i].value = 0; break;
        default: rows[i].status = 3;
        }
    }
    return 0;
}
typedef struct { u32 version; unsigned char cluster[16]; int status; u32 clique, state, health; } fabric_t;
int nvmlDeviceGetGpuFabricInfoV(gpu_t *gpu, fabric_t *out) { (void)gpu; if (out->version != 0x2000024) return 25; out->state = 3; out->status = 0; out->health = 0; return 0; }
#endif
