/**
 * PostgreSQL as it is kept available: two members under Patroni, their leader decided in etcd, HAProxy in front. From
 * Debian's packages, on loopback, in a temporary folder. docs/high-availability.md has the same settings to copy.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PACKAGES = ['patroni', 'etcd-server', 'haproxy', 'postgresql', 'python3-etcd'];
export const TTL_SECONDS = 20;
const READY_MS_MAX = 60_000;

/** Why it cannot run here, or nothing. Installs what is missing where it is told to and may. */
export async function missing(): Promise<string | undefined> {
  const isThere = () =>
    ['/usr/bin/patroni', '/usr/bin/etcd', '/usr/sbin/haproxy'].every(existsSync) && binDir() !== undefined;
  const isRoot = process.getuid?.() === 0;
  if (!isThere() && isRoot && process.env.HA_INSTALL) await install();
  if (!isThere()) return `needs Debian's ${PACKAGES.join(', ')}; as root, npm run ha -- --install gets them`;
  return isRoot ? undefined : 'needs root, to run PostgreSQL as the user postgres';
}

/** Without starting any of them as a service of the machine. */
async function install(): Promise<void> {
  const policy = '/usr/sbin/policy-rc.d';
  const isOurs = !existsSync(policy);
  if (isOurs) await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await run('apt-get', ['update'], { env });
    await run('apt-get', ['install', '-y', '--no-install-recommends', ...PACKAGES], { env, maxBuffer: 1e8 });
  } finally {
    if (isOurs) rmSync(policy);
  }
}

function binDir(): string | undefined {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root)
    ? readdirSync(root)
        .map(Number)
        .sort((a, b) => b - a)
    : [];
  return versions[0] === undefined ? undefined : `${root}/${versions[0]}/bin`;
}

export interface Member {
  name: string;
  port: number;
  restPort: number;
  folder: string;
  patroni?: ChildProcess;
}

export class Cluster {
  private readonly started: ChildProcess[] = [];
  private readonly members: Member[] = [];
  private etcdPort = 0;
  url = '';

  private constructor(
    private readonly folder: string,
    private readonly owner: { uid: number; gid: number },
  ) {}

  static async start(): Promise<Cluster> {
    const { stdout } = await run('id', ['-u', 'postgres']);
    const { stdout: group } = await run('id', ['-g', 'postgres']);
    const owner = { uid: Number(stdout), gid: Number(group) };
    const cluster = new Cluster(path.join(tmpdir(), `asper-ha-${process.pid}`), owner);
    try {
      await cluster.startAll();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  static async versions(): Promise<string> {
    const of = async (file: string, ...args: string[]) => /\d+\.\d+(\.\d+)?/.exec((await run(file, args)).stdout)![0];
    const [patroni, etcd] = [await of('/usr/bin/patroni', '--version'), await of('/usr/bin/etcd', '--version')];
    const [haproxy, postgres] = [await of('/usr/sbin/haproxy', '-v'), await of(`${binDir()}/postgres`, '--version')];
    return `Patroni ${patroni}, etcd ${etcd}, HAProxy ${haproxy}, PostgreSQL ${postgres}`;
  }

  /** The member that leads, and its synchronous standby, when there are both. */
  async whole(): Promise<{ leader: Member; standby: Member }> {
    const end = Date.now() + READY_MS_MAX;
    for (; Date.now() < end; await delay(200)) {
      const states = await Promise.all(this.members.map((member) => this.stateOf(member)));
      const leader = this.members[states.indexOf('leader')];
      const standby = this.members[states.indexOf('sync_standby')];
      if (leader && standby) return { leader, standby };
    }
    throw new Error(`no leader with a synchronous standby within ${READY_MS_MAX} ms\n${this.lastWords()}`);
  }

  /** Kills PostgreSQL of a member, and nothing else: Patroni sees to it. */
  killPostgres(member: Member): void {
    process.kill(this.postmaster(member)!, 'SIGKILL');
  }

  /** A host that stands still: it says nothing, hangs up on nobody, and does not know that time goes on. */
  freeze(member: Member): () => void {
    const pids = this.pidsOf(member);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    return () => pids.forEach((pid) => signal(pid, 'SIGCONT'));
  }

  /** A host that is gone. */
  kill(member: Member): void {
    for (const pid of this.pidsOf(member)) signal(pid, 'SIGKILL');
  }

  async bringBack(member: Member): Promise<void> {
    await this.startPatroni(member);
  }

  /** A switchover that somebody asked for. */
  async switchOver({ leader, standby }: { leader: Member; standby: Member }): Promise<void> {
    const args = ['-c', path.join(leader.folder, 'patroni.yml'), 'switchover', 'asper', '--force'];
    await run('/usr/bin/patronictl', [...args, '--master', leader.name, '--candidate', standby.name]);
  }

  async stop(): Promise<void> {
    for (const member of this.members) {
      const pids = this.pidsOf(member);
      for (const pid of pids) signal(pid, 'SIGCONT');
      for (const pid of pids) signal(pid, 'SIGKILL');
    }
    for (const child of this.started) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async startAll(): Promise<void> {
    await this.makeFolder(this.folder);
    this.etcdPort = await freePort();
    const peerPort = await freePort();
    for (const name of ['one', 'two']) {
      const folder = path.join(this.folder, name);
      await this.makeFolder(folder);
      this.members.push({ name, folder, port: await freePort(), restPort: await freePort() });
    }
    const [here, peers] = [`http://127.0.0.1:${this.etcdPort}`, `http://127.0.0.1:${peerPort}`];
    this.spawn('/usr/bin/etcd', [
      ...['--name', 'etcd', '--data-dir', path.join(this.folder, 'etcd')],
      ...['--listen-client-urls', here, '--advertise-client-urls', here],
      ...['--listen-peer-urls', peers, '--initial-advertise-peer-urls', peers, '--initial-cluster', `etcd=${peers}`],
    ]);
    for (const member of this.members) {
      await writeFile(path.join(member.folder, 'patroni.yml'), this.patroniSettings(member));
      await this.startPatroni(member);
      if (member === this.members[0])
        await this.until(async () => (await this.stateOf(member)) === 'leader', 'the first member leads');
    }
    const port = await freePort();
    await writeFile(path.join(this.folder, 'haproxy.cfg'), this.haproxySettings(port));
    this.spawn('/usr/sbin/haproxy', ['-f', path.join(this.folder, 'haproxy.cfg')]);
    this.url = `postgresql://postgres:postgres-ha@127.0.0.1:${port}/postgres`;
    await this.whole();
  }

  private patroniSettings({ name, port, restPort, folder }: Member): string {
    const users = ['superuser', 'replication', 'rewind'].map((role) => {
      const user = role === 'superuser' ? 'postgres' : role;
      return `    ${role}: { username: ${user}, password: ${user}-ha }`;
    });
    return `
scope: asper
name: ${name}
restapi: { listen: '127.0.0.1:${restPort}', connect_address: '127.0.0.1:${restPort}' }
etcd3: { hosts: '127.0.0.1:${this.etcdPort}' }
bootstrap:
  dcs:
    ttl: ${TTL_SECONDS}
    loop_wait: 5
    retry_timeout: 5
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      parameters: { max_connections: 100, wal_log_hints: 'on', shared_buffers: 128MB, max_wal_size: 1GB }
  initdb: [{ encoding: UTF8 }, { locale: C }, data-checksums]
  pg_hba:
    - host all all 127.0.0.1/32 scram-sha-256
    - host replication replication 127.0.0.1/32 scram-sha-256
postgresql:
  listen: 127.0.0.1:${port}
  connect_address: 127.0.0.1:${port}
  data_dir: ${folder}/data
  bin_dir: ${binDir()}
  pgpass: ${folder}/pgpass
  parameters: { unix_socket_directories: '${folder}' }
  authentication:
${users.join('\n')}
`;
  }

  private haproxySettings(port: number): string {
    const servers = this.members.map(
      (member) => `  server ${member.name} 127.0.0.1:${member.port} check port ${member.restPort}`,
    );
    return `
global
  maxconn 1000
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
  timeout check 1s
listen primary
  bind 127.0.0.1:${port}
  option httpchk GET /primary
  http-check expect status 200
  default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
${servers.join('\n')}
`;
  }

  private async startPatroni(member: Member): Promise<void> {
    member.patroni = this.spawn('/usr/bin/patroni', [path.join(member.folder, 'patroni.yml')]);
    await delay(500);
  }

  private async stateOf({ restPort }: Member): Promise<string> {
    const text = await fetch(`http://127.0.0.1:${restPort}/cluster`, { signal: AbortSignal.timeout(1_000) })
      .then(
        (answer) =>
          answer.json() as Promise<{ members: Array<{ name: string; role: string; state: string; port?: number }> }>,
      )
      .catch(() => undefined);
    const member = this.members.find((one) => one.restPort === restPort)!;
    const found = text?.members.find(({ name }) => name === member.name);
    return found && /running|streaming/.test(found.state) ? found.role : 'away';
  }

  /** Patroni, PostgreSQL, and all that they have started. */
  private pidsOf(member: Member): number[] {
    const roots = [member.patroni?.pid, this.postmaster(member)].filter((pid) => pid !== undefined);
    return [...new Set(roots.flatMap((pid) => [pid, ...descendants(pid)]))].filter(isAlive);
  }

  private postmaster({ folder }: Member): number | undefined {
    const file = path.join(folder, 'data', 'postmaster.pid');
    return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : undefined;
  }

  private spawn(file: string, args: string[]): ChildProcess {
    const child = spawn(file, args, { ...this.owner, cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => said.push(chunk.toString()) > 200 && said.shift());
    }
    this.words.set(child, said);
    this.started.push(child);
    return child;
  }
  private readonly words = new Map<ChildProcess, string[]>();

  private lastWords(): string {
    return [...this.words].map(([child, said]) => `${child.spawnfile}: ${said.slice(-10).join('')}`).join('\n');
  }

  private async makeFolder(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o750 });
    await chown(folder, this.owner.uid, this.owner.gid);
  }

  private async until(isSo: () => Promise<boolean>, what: string): Promise<void> {
    for (const end = Date.now() + READY_MS_MAX; Date.now() < end; await delay(200)) if (await isSo()) return;
    throw new Error(`not within ${READY_MS_MAX} ms: ${what}\n${this.lastWords()}`);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function descendants(pid: number): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => parentOf(name) === pid)
    .map(Number);
  return children.flatMap((child) => [child, ...descendants(child)]);
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

const isAlive = (pid: number) => existsSync(`/proc/${pid}`);

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it has ended by itself
  }
}
