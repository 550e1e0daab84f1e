/** Builds with a bug put in on purpose: a copy of the compiled service with a few lines changed. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

// Inside the project, so that the copies find its packages.
const FOLDER = path.resolve('node_modules/.cache/mutants');
export const ENGINE = 'src/transactions/posting.engine.js';

/** One place of the build, and what stands there instead. */
export type Change = [file: string, text: string, by: string];

/** Copies the build and changes it; each text must stand there exactly once. Returns the entry file. */
export function mutant(name: string, changes: Change[]): string {
  const folder = path.join(FOLDER, name);
  mkdirSync(folder, { recursive: true });
  // File by file: in the bundle the lines would have to be looked for.
  cpSync('dist', folder, { recursive: true, filter: (source) => path.relative('dist', source) !== 'service' });
  for (const [file, text, by] of changes) {
    const at = path.join(folder, file);
    const parts = readFileSync(at, 'utf8').split(text);
    if (parts.length !== 2) throw new Error(`${name}: "${text}" stands ${parts.length - 1} times in ${file}`);
    writeFileSync(at, parts.join(by));
  }
  return path.join(folder, 'src/main.js');
}

/** The laws in the database would catch most bugs by themselves; here the scenarios are on trial, not they. */
export const WITHOUT_TRIGGERS = `
  ALTER TABLE wallets DISABLE TRIGGER USER; ALTER TABLE entries DISABLE TRIGGER USER;
  ALTER TABLE transactions DISABLE TRIGGER USER; ALTER TABLE wallets DROP CONSTRAINT wallets_floor_holds;
  ALTER TABLE entries DROP CONSTRAINT entries_pkey`;

/** Answers before COMMIT. @param then what happens in between; by default one COMMIT in ten fails. */
export function earlyAnswer(
  then = "if (Math.random() < 0.1) throw Object.assign(new Error('crash'), { code: '53000' });",
): Change {
  const early = '(transaction) => this.postAll(transaction, instructions, passes, repeats)';
  const answered = `async (transaction) => {
      const behind = { ...transaction, commitBehind: (writes) => Promise.all(writes) };
      const early = await this.postAll(behind, instructions, passes, repeats);
      group.forEach(({ resolve }, i) => early[i] && resolve(early[i]));
      ${then}
      return early; }`;
  return [ENGINE, early, answered];
}

export function removeMutants(): void {
  rmSync(FOLDER, { recursive: true, force: true });
}
