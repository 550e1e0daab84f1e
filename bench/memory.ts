/** Resident memory of a process: Linux only, and only on this machine; elsewhere nothing is told. */
import { readFile } from 'node:fs/promises';

/** A MB is a million bytes. */
export async function residentMB(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kB = /^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1];
  return kB === undefined ? undefined : (Number(kB) * 1_024) / 1e6;
}

/** Looks again and again until it is told to end. A look takes 0.1 ms. */
export class MemoryWatch {
  private most?: number;
  private looking: Promise<void>;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly pid: number,
    everyMs: number,
  ) {
    this.looking = this.look();
    // Without `unref` a bench whose row has failed would not end.
    this.timer = setInterval(() => void (this.looking = this.look()), everyMs).unref();
  }

  /** @returns the most that was seen. */
  async end(): Promise<number | undefined> {
    clearInterval(this.timer);
    await this.looking;
    await this.look();
    return this.most;
  }

  private async look(): Promise<void> {
    const now = await residentMB(this.pid);
    if (now !== undefined) this.most = Math.max(now, this.most ?? 0);
  }
}
