/**
 * Gives back the memory that only starting took, in the first quiet second: 37 MB of a new process's 152. V8 keeps the space for
 * young objects as large as loading modules made it, and while nothing happens it never looks again. Its collector takes requests
 * for that, short of a flag for the whole process, only from the inspector, and needs 0.11 s: a start need not wait for it.
 */
import { performance } from 'node:perf_hooks';

const LOOK_EVERY_MS = 1_000;
/** Share of a second: some ten requests take it. What goes on by itself stays far below. */
const QUIET = 0.05;

export function returnStartupMemory(): void {
  let before = performance.eventLoopUtilization();
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    if (utilization > QUIET) return;
    clearInterval(timer);
    void collectGarbage();
  }, LOOK_EVERY_MS).unref();
}

async function collectGarbage(): Promise<void> {
  const inspector = await import('node:inspector').catch(() => undefined);
  if (!inspector) return; // a Node.js that was built without it
  const session = new inspector.Session();
  session.connect();
  // Not at once: while V8 calls back it holds the lock that disconnecting takes, and the process would stand still for good.
  session.post('HeapProfiler.collectGarbage', () => setImmediate(() => session.disconnect()));
}
