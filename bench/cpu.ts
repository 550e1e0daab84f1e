/**
 * Processor time by process. On a busy machine it is the steadier figure: a neighbour takes speed away from a phase,
 * but hardly changes how much work one posting is. Linux only, and only for processes on this machine.
 */
import { readFile } from 'node:fs/promises';
import type { Client } from 'pg';

/** USER_HZ is 100 on every Linux that Node runs on. */
const US_PER_TICK = 10_000;

/** Microseconds of processor time that each of these processes has used so far. */
export async function cpuUs(pids: number[]): Promise<Map<number, number>> {
  const times = pids.map(async (pid) => {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    // The name in parentheses may hold blanks; after it, user and system time are fields 12 and 13.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return [pid, (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * US_PER_TICK] as const;
  });
  return new Map(await Promise.all(times));
}

/** What was used in between. A process that is new began at zero: the service's pool opens connections as it needs. */
export function usedBetween(before: Map<number, number>, after: Map<number, number>): number {
  return [...after].reduce((sum, [pid, us]) => sum + us - (before.get(pid) ?? 0), 0);
}

/** The server processes that work for the client's database, and those that write for all. */
export async function serverPids(client: Client): Promise<number[]> {
  const { rows } = await client.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND
       (datname = current_database() OR backend_type IN ('walwriter', 'background writer', 'checkpointer'))`,
  );
  return rows.map(({ pid }) => pid);
}
