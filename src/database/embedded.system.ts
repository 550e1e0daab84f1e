/**
 * What the embedded PostgreSQL needs from the operating system: an account that is not root, a way to run
 * a program as that account, and a way to ask what that account can reach.
 */
import { spawn } from 'node:child_process';
import { access, constants, lstat, readdir, readFile, realpath } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** A cause the operator can remove. Its message is the whole story: print it without a stack. */
export class EmbeddedDatabaseError extends Error {
  override name = 'EmbeddedDatabaseError';
}

/** Whom PostgreSQL runs as when we are root. Undefined: as ourselves. */
export interface Account {
  uid: number;
  gid: number;
}

const isWindows = process.platform === 'win32';
export const isRoot = process.getuid?.() === 0;

/**
 * PostgreSQL refuses to run as root, so root lends it an account: `postgres` where the machine has one,
 * else `nobody`. /etc/passwd is read directly because node has no getpwnam().
 */
export async function servantAccount(): Promise<Account | undefined> {
  if (!isRoot) return undefined;
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (Number(uid) > 0) return { uid: Number(uid), gid: Number(gid) };
  }
  return { uid: 65534, gid: 65534 };
}

/** The folder of package.json, found from this file: the working directory may be any folder. */
export function projectRoot(): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(folder, 'package.json'))) {
    if (path.dirname(folder) === folder) throw new EmbeddedDatabaseError('No package.json above the program.');
    folder = path.dirname(folder);
  }
  return folder;
}

export interface RunResult {
  code: number | null;
  output: string;
}

/**
 * Runs a program to its end, as `account`. The environment is minimal: PGPORT, PGDATA or a HOME of root's
 * must not reach PostgreSQL. `ownSession` keeps a Ctrl-C in the terminal away from it.
 */
export function run(
  program: string,
  args: string[],
  options: { cwd: string; account: Account | undefined; ownSession?: boolean },
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const env = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', HOME: '/', LC_ALL: 'C' };
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: isWindows ? withoutPgVariables() : env,
      detached: options.ownSession === true && !isWindows,
      windowsHide: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options.account,
    });
    let output = '';
    const keep = (chunk: Buffer) => (output = (output + chunk.toString()).slice(-20_000));
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
    // On Windows the server may inherit our pipes and hold them open, so 'close' alone could wait for ever.
    if (isWindows) child.once('exit', (code) => setTimeout(() => resolve({ code, output }), 300));
  });
}

function withoutPgVariables(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^PG/i.test(name)));
}

/** Whether `account` can read and enter (or run) this path. The kernel decides, access lists included. */
export async function isReachable(target: string, account: Account | undefined): Promise<boolean> {
  if (!account) return isAllowed(target, constants.R_OK | constants.X_OK);
  const test = '[ -r "$1" ] && [ -x "$1" ]';
  return (await run('/bin/sh', ['-c', test, 'sh', target], { cwd: '/', account })).code === 0;
}

/** Whether `account` can pass through this folder; it need not be able to list it. */
export async function isTraversable(folder: string, account: Account | undefined): Promise<boolean> {
  if (!account) return isAllowed(folder, constants.X_OK);
  return (await run('/bin/sh', ['-c', '[ -x "$1" ]', 'sh', folder], { cwd: '/', account })).code === 0;
}

export function isAllowed(target: string, mode: number): Promise<boolean> {
  return access(target, mode).then(
    () => true,
    () => false,
  );
}

/** Calls `visit` for a folder and everything under it; symbolic links are passed by. */
export async function walk(folder: string, visit: (entry: string, mode: number) => Promise<void>): Promise<void> {
  const stat = await lstat(folder);
  if (stat.isSymbolicLink()) return;
  await visit(folder, stat.mode);
  if (!stat.isDirectory()) return;
  for (const name of await readdir(folder)) await walk(path.join(folder, name), visit);
}

/** A TCP port that is free on the loopback address right now: `wanted` when it is, else one the OS picks. */
export async function freePort(wanted = 0): Promise<number> {
  const port = await new Promise<number | undefined>((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ port: wanted, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
  if (port) return port;
  if (wanted) return freePort();
  throw new EmbeddedDatabaseError('No TCP port on 127.0.0.1 can be opened, so the embedded PostgreSQL cannot start.');
}

export function realPathOr(target: string): Promise<string> {
  return realpath(target).catch(() => target);
}

export function causeOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
