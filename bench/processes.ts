/** The processes of the bench: the service, its peer, and the load generator. Only these are ever stopped. */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { packageFile } from '../src/package-root.js';
import type { CleanUp } from './clean-up.js';
import type { LoadJob, LoadResult } from './load.js';
import { NODE_FLAGS } from './node-flags.js';

const STOP_MAX_MS = 15_000;

export interface Served {
  url: string;
  pid: number;
  /** When it was started, by performance.now(). */
  spawnedAt: number;
  stop(): Promise<void>;
  /** What it has printed lately. */
  said(): string;
  /** `start` begins a CPU profile, a file's name ends it into that file. Only with `profiled`. */
  tell(order: { profile: string }): Promise<void>;
}

/** Starts a server as a process of its own and waits for the line that tells where it listens. */
export async function serve(
  entry: string,
  env: Record<string, string>,
  cleanUp: CleanUp,
  profiled = false,
): Promise<Served> {
  const preload = profiled ? ['--import', path.join(import.meta.dirname, 'profiler.js')] : [];
  const spawnedAt = performance.now();
  const child = spawn(process.execPath, [...NODE_FLAGS, ...preload, entry], {
    cwd: packageFile(),
    env: { ...process.env, LOG_LEVEL: 'warn', HOST: '127.0.0.1', ...env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const stop = () => stopChild(child);
  cleanUp.add(stop);
  let output = '';
  child.stdout!.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-1_000_000)));
  const url = await listening(child, entry);
  const tell = async (message: object) => {
    child.send(message);
    const [answer] = (await once(child, 'message')) as [{ error?: string }];
    if (answer.error) throw new Error(answer.error);
  };
  return { url, pid: child.pid!, spawnedAt, stop, tell, said: () => output };
}

function listening(child: ChildProcess, entry: string): Promise<string> {
  let output = '';
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${entry} stopped with ${code}: ${output}`)));
    child.stdout!.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-10_000);
      const url = /listens on (http:[^\s"]+)/.exec(output)?.[1];
      if (url) resolve(url);
    });
  });
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), STOP_MAX_MS);
  await exit;
  clearTimeout(force);
}

/** The load generator; one process for the whole run, so that it is warm when it counts. */
export class Generator {
  private readonly child: ChildProcess;

  constructor(cleanUp: CleanUp) {
    this.child = fork(path.join(import.meta.dirname, 'load.js'));
    cleanUp.add(() => stopChild(this.child));
  }

  /** One job at a time. */
  run(job: LoadJob): Promise<LoadResult> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null) => reject(new Error(`the load generator stopped with ${String(code)}`));
      this.child.once('exit', onExit);
      this.child.once('message', ({ result, error }: { result?: LoadResult; error?: string }) => {
        this.child.off('exit', onExit);
        if (result) resolve(result);
        else reject(new Error(error));
      });
      this.child.send(job);
    });
  }
}
