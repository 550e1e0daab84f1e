/** The manners of the house that a tool can see. oxlint has the rest: lengths of files and functions, promises. */
import { describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const files = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => path.join(folder, file));
const sources = [...files('src'), ...files('migrations'), ...files('bench'), 'ormconfig.ts'];

/** Where a pattern stands: `file:line`, for the message. */
function places(pattern: RegExp, among: string[]): string[] {
  return among.flatMap((file) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line, i) => (pattern.test(line) ? [`${file}:${i + 1}`] : [])),
  );
}

describe('the house', () => {
  it('has no barrels', () => {
    expect(sources.filter((file) => path.basename(file) === 'index.ts')).toEqual([]);
  });

  it('never counts money in floats, synchronizes a schema, or lets a block commit by accident', () => {
    expect(places(/parseFloat\(|synchronize: true|await using/, sources)).toEqual([]);
  });

  it('has one begin, commit and rollback', () => {
    const begin = places(
      /startTransaction|commitTransaction|rollbackTransaction|['"`](BEGIN|COMMIT|ROLLBACK)\b/,
      files('src'),
    );
    expect(new Set(begin.map((place) => place.split(':')[0]))).toEqual(new Set(['src/database/transaction.ts']));
  });

  it('writes balances in one place', () => {
    const writes = places(/UPDATE wallets|INSERT INTO (entries|transactions)/, files('src'));
    expect(new Set(writes.map((place) => place.split(':')[0]))).toEqual(new Set(['src/transactions/posting.store.ts']));
  });

  it('parses and formats money in one file', () => {
    expect(places(/padEnd\(exponent|BigInt\(whole/, files('src')).map((place) => place.split(':')[0])).toEqual([
      'src/money.ts',
    ]);
  });

  it('leaves no work for later and no test asleep', () => {
    const words = new RegExp(
      [
        'TO' + 'DO',
        'FIX' + 'ME',
        String.raw`(it|test|describe)\.sk` + String.raw`ip\(`,
        String.raw`\bx` + String.raw`it\(`,
      ].join('|'),
    );
    expect(places(words, [...sources, ...files('test')])).toEqual([]);
  });

  it('links in its documents to files that are there', () => {
    const documents = ['.', 'docs', 'bench', 'torture'].flatMap((folder) =>
      readdirSync(folder).flatMap((file) => (file.endsWith('.md') ? [path.join(folder, file)] : [])),
    );
    const links = documents.flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, to]) => ({ file, to: to! })),
    );
    expect(links.length).toBeGreaterThan(100);
    expect(links.filter(({ file, to }) => !existsSync(path.join(path.dirname(file), to)))).toEqual([]);
  });

  it('records no download address in the lockfile', () => {
    expect(readFileSync('package-lock.json', 'utf8')).not.toContain('"resolved"');
  });

  it('pins every dependency', () => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<
      string,
      Record<string, string>
    >;
    const versions = Object.values({ ...dependencies, ...devDependencies });
    expect(versions.filter((version) => !/^(npm:.+@)?\d+\.\d+\.\d+/.test(version))).toEqual([]);
  });
});
