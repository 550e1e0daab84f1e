/** The second reference: pgbench with its default script, where it is installed. */
import { execFile } from 'node:child_process';
import { access, constants, readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Scale 10: a million accounts, ten branches. Fewer branches than clients is the script's own contention. */
const SCALE = 10;

/** Finds pgbench in PATH or where Debian keeps it; the newest first. */
export async function findPgbench(): Promise<string | undefined> {
  const debian = '/usr/lib/postgresql';
  const majors = (await readdir(debian).catch(() => [])).sort((a, b) => Number(b) - Number(a));
  const folders = [
    ...majors.map((major) => path.join(debian, major, 'bin')),
    ...(process.env.PATH ?? '').split(path.delimiter),
  ];
  for (const folder of folders) {
    const file = path.join(folder, 'pgbench');
    if (
      await access(file, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return file;
  }
  return undefined;
}

export class Pgbench {
  private readonly env: NodeJS.ProcessEnv;
  private readonly target: string[];

  constructor(
    private readonly file: string,
    url: string,
  ) {
    const { hostname, port, username, password, pathname } = new URL(url);
    this.env = { ...process.env, PGPASSWORD: decodeURIComponent(password) };
    this.target = ['-h', hostname, '-p', port || '5432', '-U', decodeURIComponent(username), pathname.slice(1)];
  }

  async prepare(): Promise<void> {
    await run(this.file, ['-i', '-q', '-s', String(SCALE), ...this.target], { env: this.env });
  }

  /** @returns transactions per second, without connecting. It tells no quantiles of its latency. */
  async run(clients: number, seconds: number): Promise<{ perSecond: number }> {
    const args = [
      '-n',
      '-c',
      String(clients),
      '-j',
      '2',
      '-T',
      String(Math.max(1, Math.round(seconds))),
      ...this.target,
    ];
    const { stdout } = await run(this.file, args, { env: this.env });
    return { perSecond: Number(/tps = ([\d.]+)/.exec(stdout)?.[1]) };
  }
}
