package optout.peers;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.concurrent.CountDownLatch;

/** How many records one thread has processed, and the CPU time of the process at some of them. */
final class Progress {
    private static final OperatingSystemMXBean SYSTEM =
        (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    private final long records;
    private final long startedAtMs = System.currentTimeMillis();
    private final CountDownLatch done = new CountDownLatch(1);
    private long next;
    volatile long beganNs;
    volatile long cpuBeganNs;
    volatile long cpuWarmNs; // at the first record of the last quarter: the JIT is warm by then

    Progress(long records) {
        this.records = records;
    }

    /** Count a record; only the one stream thread calls it. */
    void one() {
        if (next == 0) {
            beganNs = System.nanoTime();
            cpuBeganNs = cpuNs();
        } else if (next == records / 4 * 3) {
            cpuWarmNs = cpuNs();
        }
        if (++next == records) {
            done.countDown();
        }
    }

    void awaitDone() throws InterruptedException {
        done.await();
    }

    long startedAtMs() {
        return startedAtMs;
    }

    static long cpuNs() {
        return SYSTEM.getProcessCpuTime();
    }
}
