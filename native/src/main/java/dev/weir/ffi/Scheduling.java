package dev.weir.ffi;

/**
 * How the kernel schedules a thread among those that want its processor.
 *
 * @param nice from -20, the most of it, to 19
 * @param sliceNanos how long it has the processor at a time where others wait; whoever asks for
 *     less has no less in all, and gets each sooner. Before Linux 6.12 it changes nothing
 */
public record Scheduling(int nice, long sliceNanos) {}
